// The loop over the vocabulary that every step of decoding runs: the largest logit and the sum of
// exponentials below it, in one pass over memory.
#pragma once

#include <cstdint>
#include <span>

namespace mtlora::decoding {

constexpr int64_t kBlock = 256;  ///< logits that share a maximum

struct SumExp {
  float max;   ///< of all logits, NaN left out
  double sum;  ///< of exp(logit - max) to a relative 2e-7; NaN where any logit is NaN or +inf
};

/// block_max: [ceil(size / kBlock)], gets the largest logit of each block. The result depends on
/// the logits alone: the same on every processor (IEEE operations in a fixed order: within a block
/// pairwise in fp32, over blocks in fp64).
SumExp sum_exp(std::span<const float> logits, std::span<float> block_max);

/// e^x for x <= 0 to a relative 1.5e-7; about e^-87 for anything less; NaN for NaN.
float exp_not_positive(float x);

}  // namespace mtlora::decoding
