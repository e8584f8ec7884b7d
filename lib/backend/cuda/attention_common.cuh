// What both kinds of attention kernels share: where a block's sequence lies, the parts of a score
// that are not a product, and sums over places of equal distance.
#pragma once

#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {

/// attention_forward() and attention_backward() of bfloat16, by tensor cores.
void attention_forward_bf16(const AttentionCall& call, Stream stream);
void attention_backward_bf16(const AttentionBackwardCall& call, Stream stream);

/// Where the queries and keys of a block's sequence lie.
struct Span {
  int64_t first_key, keys, first_query, queries;
};

__device__ inline Span span_of(const AttentionCall& c, int64_t sequence) {
  const int64_t begin = c.offsets[sequence], keys = c.offsets[sequence + 1] - begin;
  return {begin, keys, c.pooled ? sequence : begin, c.pooled ? 1 : keys};
}

/// What disentangled attention adds to the score of query row q (place i) and key row k (place j).
__device__ inline float relative_score(const AttentionCall& c, int64_t head, int64_t q, int64_t k,
                                       int64_t distance) {
  const Relative& r = c.relative;
  const int64_t column = r.row_of[distance + r.reach - 1];
  float sum = 0;
  if (r.c2p) sum += r.c2p[(head * c.query_rows + q) * r.count + column];
  if (r.p2c) sum += r.p2c[(head * c.key_rows + k) * r.count + column];
  return sum;
}

/// Adds each lane's value to table[column]. Lanes of one column stand together: their sum is made
/// among them, and the first of them adds it. column < 0: nothing to add.
__device__ inline void add_by_column(float* table, int column, float value, int lane) {
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const float other = __shfl_down_sync(0xffffffffu, value, step);
    const int its_column = __shfl_down_sync(0xffffffffu, column, step);
    if (lane + step < 32 && its_column == column) value += other;
  }
  const int before = __shfl_up_sync(0xffffffffu, column, 1);
  if (column >= 0 && (lane == 0 || before != column)) table[column] += value;
  __syncwarp();
}

/// The largest score of a row's softmax and 1 / its sum.
__device__ inline float2& statistics_of(const AttentionCall& c, int64_t row, int64_t head) {
  return reinterpret_cast<float2*>(c.statistics)[row * c.heads + head];
}

/// The weight of a score.
__device__ inline float weight_of(float score, float2 statistics) {
  return expf(score - statistics.x) * statistics.y;
}

/// Zeros in one head's columns of rows begin .. end, by the blocks of the grid's first dimension.
template <class T>
__device__ void clear_rows(const Matrix& m, int64_t begin, int64_t end, int64_t column,
                           int64_t head) {
  for (int64_t row = begin + blockIdx.x; row < end; row += gridDim.x)
    for (int64_t i = threadIdx.x; i < head; i += blockDim.x)
      row_to<T>(m, row)[column + i] = narrow<T>(0.0f);
}

/// Calls f with the width that tiles of this head have: 32, 64 or 128.
template <int D>
struct Width {
  static constexpr int value = D;
};
template <class F>
void with_width(int64_t head, F&& f) {
  if (head <= 32)
    f(Width<32>{});
  else if (head <= 64)
    f(Width<64>{});
  else
    f(Width<128>{});
}

}  // namespace mtlora::backend::cuda
