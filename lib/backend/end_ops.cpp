#include "lib/backend/end_ops.h"

#include <limits>

#include "lib/backend/on_cuda.h"

namespace mtlora::backend {

Tensor sum_of(const std::vector<Lookup>& lookups) {
  Tensor sum;
  for (const Lookup& l : lookups) {
    const Tensor rows = at::embedding(l.table, l.first == 0 ? l.rows : l.rows + l.first);
    sum = sum.defined() ? sum + rows : rows;
  }
  return sum;
}

Tensor embed(const std::vector<Lookup>& lookups, const Affine& affine, const Dropout& dropout) {
  if (device::takes_embed(lookups, affine)) return device::embed(lookups, affine, dropout);
  return backend::dropout(backend::layer_norm(sum_of(lookups), affine), dropout);
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double label_smoothing) {
  if (on_cuda(logits)) return device::cross_entropy(logits, labels, label_smoothing);
  const bool is_wide = logits.scalar_type() == at::kDouble;
  return at::cross_entropy_loss(
      is_wide ? logits : logits.to(at::kFloat), labels, {}, at::Reduction::Sum,
      /*ignore_index=*/std::numeric_limits<int64_t>::min(), label_smoothing);
}

}  // namespace mtlora::backend
