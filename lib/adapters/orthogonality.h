// How far the two thin matrices of low-rank changes are from orthogonal:
// R = mean over all A and B of ‖A Aᵀ − I‖_F and ‖Bᵀ B − I‖_F (norms, not their squares; each matrix
// counts once). As the code of AdaLoRA (Zhang et al. 2023, arXiv:2303.10512; loralib's
// compute_orth_regu), which Hugging Face PEFT and RM-LoRA's code share.
#pragma once

#include <vector>

#include "lib/nn/linear.h"

namespace mtlora {

/// R, a scalar with its graph. Every pair has the same rank; there is at least one. Where a norm is
/// exactly 0, its gradient is 0.
Tensor orthogonality(const std::vector<FactorPair>& pairs);

}  // namespace mtlora
