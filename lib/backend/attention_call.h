// What the attentions share around their kernels. For the sources of this folder only.
#pragma once

#include <algorithm>

#include "lib/backend/kernel_call.h"

namespace mtlora::backend {

/// Whether the CPU's attention kernels take this tensor with heads of this width: they work on
/// whole vectors, and are tested up to the widest heads that models have.
inline bool fast_attention(const Tensor& x, int64_t head) {
  return fast(x) && head % 16 == 0 && head <= 128;
}

/// Zeros the rows from the last sequence's end on.
inline void clear_filler(const Tensor& x, const Packing& packing) {
  const int64_t used = packing.offsets->back();
  if (used < x.size(0)) x.narrow(0, used, x.size(0) - used).zero_();
}

/// The tokens of the longest sequence.
inline int64_t longest_of(const std::vector<int32_t>& offsets) {
  int32_t most = 0;
  for (size_t i = 0; i + 1 < offsets.size(); ++i)
    most = std::max(most, offsets[i + 1] - offsets[i]);
  return most;
}

}  // namespace mtlora::backend
