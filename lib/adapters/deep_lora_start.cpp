#include "lib/adapters/deep_lora_start.h"

#include <algorithm>

#include "lib/core/random.h"

namespace mtlora {
namespace {

// Orthonormal columns that span those of m.
Tensor basis(const Tensor& m) {
  return std::get<0>(torch::linalg_qr(m));
}

}  // namespace

Tensor orthogonal(int64_t rows, int64_t columns, uint64_t key) {
  const int64_t tall = std::max(rows, columns), thin = std::min(rows, columns);
  const Tensor values = torch::empty({tall, thin}, torch::kDouble);
  Random random(key);
  double* at = values.data_ptr<double>();
  for (int64_t i = 0; i < values.numel(); ++i) at[i] = random.normal();
  const auto [q, r] = torch::linalg_qr(values);
  // R's diagonal positive: then Q is uniform (Mezzadri 2007, arXiv:math-ph/0609050).
  const Tensor turned = q * r.diagonal().sign();
  return (rows >= columns ? turned : turned.t()).to(torch::kFloat).contiguous();
}

OuterFactors compressed_start(const Tensor& gradient, const Tensor& product, int64_t rank) {
  const Tensor p = product.to(torch::kDouble);
  const auto [u, s, vt] = torch::linalg_svd(gradient.to(torch::kDouble), /*full_matrices=*/false);
  const Tensor top_out = u.narrow(1, 0, rank / 2), top_in = vt.narrow(0, 0, rank / 2).t();
  if (p.size(1) <= p.size(0)) {
    const Tensor right = basis(torch::cat({top_out, p.mm(top_in)}, 1));
    return {p.t().mm(right), right};
  }
  const Tensor left = basis(torch::cat({top_in, p.t().mm(top_out)}, 1));
  return {left, p.mm(left)};
}

}  // namespace mtlora
