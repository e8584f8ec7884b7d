// Which tokens sampling may draw, and how likely: Hugging Face's temperature, top-k (Fan et al.
// 2018) and top-p (Holtzman et al. 2020, "The curious case of neural text degeneration"), in that
// order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/decoding/search.h"

namespace mtlora::decoding {

struct Weighted {
  int32_t token;
  float scaled;   ///< logit / temperature
  double weight;  ///< exp(scaled - largest): its share is weight / sum of weights
};

/// Ascending tokens; those of -inf are left out. Among tokens equal to the last of the top k all
/// stay; of equal ones at the edge of top p the lower tokens stay (torch.sort leaves that open).
std::vector<Weighted> warped(std::span<const float> logits, const DecodingOptions& options);

/// The token at `uniform` (in [0, 1)) of the distribution. At least one is wanted.
int32_t draw(std::span<const Weighted> tokens, double uniform);

}  // namespace mtlora::decoding
