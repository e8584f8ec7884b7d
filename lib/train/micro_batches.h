// The examples of an optimizer step.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/data/sampler.h"
#include "lib/train/collate.h"

namespace mtlora {

/// Optimizer steps of an epoch of so many micro-batches.
inline int64_t steps_of_epoch(int64_t micro_batches, int64_t accumulate) {
  return (micro_batches - 1) / accumulate + 1;
}

/// The micro-batches of a step (from 0) of the whole run: `accumulate` of them, and fewer in an
/// epoch's last step where they do not divide.
std::vector<std::vector<Item>> micro_batches(Sampler& sampler, int64_t step, int64_t accumulate);

}  // namespace mtlora
