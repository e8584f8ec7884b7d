#include "lib/adapters/orthogonality.h"

namespace mtlora {

Tensor orthogonality(const std::vector<FactorPair>& pairs) {
  std::vector<Tensor> products;  // [rank, rank] each: stacked, the rest is few operations
  for (const FactorPair& pair : pairs) {
    products.push_back(pair.down.mm(pair.down.t()));
    products.push_back(pair.up.t().mm(pair.up));
  }
  const Tensor all = torch::stack(products);
  const Tensor identity = torch::eye(all.size(1), all.options());
  return (all - identity).flatten(1).norm(2, 1).mean();
}

}  // namespace mtlora
