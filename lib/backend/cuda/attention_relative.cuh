// What disentangled attention adds to the attention kernels of bfloat16: scores by distance, and
// the sums of slopes by distance.
#pragma once

#include "lib/backend/cuda/attention_matrix.cuh"

namespace mtlora::backend::cuda {

/// What disentangled attention adds to a warp's scores; where(n, e) is the pair of a score. As in
/// products(), in columns before `count`, rounded up to 16. Eight scores at a time: each waits for
/// two reads that depend on each other. (Pairs that are not there read as if they were.)
template <class Where>
__device__ void add_relative(Scores& scores, const AttentionCall& c, int64_t head, const Span& span,
                             int count, Where&& where) {
  const Relative& r = c.relative;
  const Sizes sizes(c, span);
  const float* c2p = r.c2p ? r.c2p + (head * c.query_rows + span.first_query) * r.count : nullptr;
  const float* p2c = r.p2c ? r.p2c + (head * c.key_rows + span.first_key) * r.count : nullptr;
  const int32_t* column_of_distance = r.row_of + r.reach - 1;
#pragma unroll
  for (int half = 0; half < kColumns / 16; ++half) {
    if (16 * half >= count) break;
    Pair pairs[8];
    int column[8];
    float more[8]{};
#pragma unroll
    for (int x = 0; x < 8; ++x) {
      const Pair pair = where(2 * half + x / 4, x % 4);
      pairs[x] = {min(pair.query, sizes.queries - 1), min(pair.key, sizes.keys - 1)};
      column[x] = column_of_distance[pairs[x].query - pairs[x].key];
    }
    if (c2p)
#pragma unroll
      for (int x = 0; x < 8; ++x) more[x] += c2p[pairs[x].query * r.count + column[x]];
    if (p2c)
#pragma unroll
      for (int x = 0; x < 8; ++x) more[x] += p2c[pairs[x].key * r.count + column[x]];
#pragma unroll
    for (int x = 0; x < 8; ++x) scores[2 * half + x / 4][x % 4] += more[x];
  }
}

/// Adds a warp's slopes to a table with a row of `count` sums for each of the warp's rows, of which
/// `rows` are there: where(r, k) is the column for row r and column k of the scores, or -1. `room`
/// [16, 32].
template <class Where>
__device__ void add_by_distance(float* table, int64_t count, int64_t rows, const Scores& slopes,
                                float* room, int lane, Where&& where) {
  constexpr int kAtOnce = 8;  // sums that are read and written together: reading takes long
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      room[row_at(lane, e) * kColumns + column_at(lane, n, e)] = slopes[n][e];
  __syncwarp();
  for (int first = 0; first < kWarpRows && first < rows; first += kAtOnce) {
    float* to[kAtOnce];
    float sums[kAtOnce];
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r) {
      const int row = first + r, column = where(row, lane);
      const OfColumn mine = sum_by_column(column, room[row * kColumns + lane], lane);
      to[r] = mine.is_whole ? table + row * count + column : nullptr;
      sums[r] = mine.sum;
    }
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r) sums[r] += to[r] ? *to[r] : 0.0f;
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r)
      if (to[r]) *to[r] = sums[r];
  }
  __syncwarp();
}

}  // namespace mtlora::backend::cuda
