// The losses of sequence tasks, as sums over the rows at hand: the caller divides by the step's
// whole count, so that shards and accumulated micro-batches add up to the one big batch.
#pragma once

#include <torch/types.h>

#include "lib/backend/end_ops.h"

namespace mtlora {

/// Sum of cross-entropies: logits [sequences, classes], labels [sequences] int64. With smoothing ε
/// a target is (1-ε) on its class plus ε/classes on every class (as torch's and HF's
/// label_smoothing).
inline torch::Tensor classification_loss(const torch::Tensor& logits, const torch::Tensor& labels,
                                         double label_smoothing) {
  return backend::cross_entropy(logits, labels, label_smoothing);
}

/// Sum of squared errors: logits [sequences, 1], labels [sequences] float.
inline torch::Tensor regression_loss(const torch::Tensor& logits, const torch::Tensor& labels) {
  return at::mse_loss(logits.to(torch::kFloat).squeeze(-1), labels, at::Reduction::Sum);
}

}  // namespace mtlora
