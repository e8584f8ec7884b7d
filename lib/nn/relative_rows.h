// Which row of a table of relative positions a distance reads: near distances have a row of their
// own, far ones share rows whose number grows with the logarithm of the distance.
//   |d| < mid:   d                                              mid = buckets / 2
//   else:        sign(d) · (mid + ceil((mid - 1) · log(|d| / mid) / log((max_positions - 1) /
//   mid)))
// then clamped to -span .. span - 1 and moved by span. He et al. 2021, arXiv 2111.09543, after T5;
// as Hugging Face transformers' make_log_bucket_position, in fp32 like there.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/backend/disentangled_ops.h"

namespace mtlora {

struct RelativeSpan {
  int64_t buckets = 0;    ///< 0: every distance has a row of its own
  int64_t max_positions;  ///< where the logarithm ends; without buckets, the span

  int64_t span() const { return buckets > 0 ? buckets : max_positions; }
  int64_t rows() const { return 2 * span(); }  ///< of the table
};

/// backend::RelativePositions::row_of of the whole table.
std::vector<int32_t> relative_rows(const RelativeSpan& span, int64_t reach);

}  // namespace mtlora
