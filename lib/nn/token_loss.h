// The loss of a language model over its vocabulary, without ever holding all logits.
#pragma once

#include <torch/types.h>

#include "lib/backend/weight.h"

namespace mtlora {

/// Sum over the targets of (1 - ε) · NLL + ε · mean over v of -log p_v, the cross-entropy with
/// label smoothing ε (as torch's; Szegedy et al. 2016, arXiv:1512.00567, section 7).
///
/// hidden [targets, width]; head [vocab, width], logits = hidden headᵀ; targets [targets] int64 in
/// 0 .. vocab. The logits of a few targets at a time are computed, used and dropped; their gradient
/// is taken on the way, so a target's row of [vocab] lives twice at most a few hundred times. fp32
/// inside, the result is an fp32 scalar.
torch::Tensor token_loss(const torch::Tensor& hidden, const backend::Weight& head,
                         const torch::Tensor& targets, double label_smoothing);

}  // namespace mtlora
