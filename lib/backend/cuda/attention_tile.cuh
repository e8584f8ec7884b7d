// The pieces of the attention kernels. A block of four warps works on tiles of 32 rows by 32
// columns of one head's scores: each warp has 8 rows of the tile, each lane one column. Tiles of
// queries, keys and values lie in shared memory in fp32.
#pragma once

#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {

constexpr int kTile = 32;  // rows and columns of a tile
constexpr int kWarps = 4;
constexpr int kRows = kTile / kWarps;  // of a warp
constexpr int kAttentionThreads = 32 * kWarps;

/// Floats between the rows of a tile: four more than a row has, so that 16-byte reads of one column
/// by eight lanes meet different banks.
template <int D>
constexpr int kStride = D + 4;
template <int D>
constexpr int kTileFloats = kTile* kStride<D>;

/// Four values beside each other, at once where they lie at a multiple of their size.
__device__ inline float4 four(const float* from) {
  if (reinterpret_cast<uintptr_t>(from) % 16 == 0) return *reinterpret_cast<const float4*>(from);
  return {from[0], from[1], from[2], from[3]};
}
__device__ inline float4 four(const Bf16* from) {
  if (reinterpret_cast<uintptr_t>(from) % 8 != 0)
    return {widen(from[0]), widen(from[1]), widen(from[2]), widen(from[3])};
  const uint2 bits = *reinterpret_cast<const uint2*>(from);
  const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&bits);
  const float2 low = __bfloat1622float2(pairs[0]), high = __bfloat1622float2(pairs[1]);
  return {low.x, low.y, high.x, high.y};
}

/// Rows `begin` .. begin + kTile of one head of a matrix, zeros from row `end` and channel `head`
/// on.
template <class T, int D>
__device__ void load_tile(float* tile, const Matrix& m, int64_t begin, int64_t end, int64_t column,
                          int64_t head) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * (D / 4); i += kAttentionThreads) {
    const int row = i / (D / 4), channel = i % (D / 4) * 4;
    float4 value{0, 0, 0, 0};
    if (begin + row < end && channel < head) {
      const T* from = row_of<T>(m, begin + row) + column + channel;
      if (channel + 4 <= head) {
        value = four(from);
      } else {
        value.x = widen(from[0]);
        if (channel + 1 < head) value.y = widen(from[1]);
        if (channel + 2 < head) value.z = widen(from[2]);
      }
    }
    *reinterpret_cast<float4*>(tile + row * kStride<D> + channel) = value;
  }
}

/// dots[r] = row (first + r) of a · row `lane` of b
template <int D>
__device__ void products(const float* a, int first, const float* b, int lane,
                         float (&dots)[kRows]) {
  for (float& d : dots) d = 0;
#pragma unroll 4
  for (int c = 0; c < D; c += 4) {
    const float4 right = *reinterpret_cast<const float4*>(b + lane * kStride<D> + c);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float4 left = *reinterpret_cast<const float4*>(a + (first + r) * kStride<D> + c);
      dots[r] += left.x * right.x + left.y * right.y + left.z * right.z + left.w * right.w;
    }
  }
}

/// sums[r][e] += Σ_k weights[r][k] · row k of b, channel lane + 32 e, over the first `count` rows
/// of b, at most kTile; weights [kRows][kTile], 0 from `count` on
template <int D>
__device__ void add_weighted(const float* weights, const float* b, int64_t count, int lane,
                             float (&sums)[kRows][D / 32]) {
  const int end = static_cast<int>(count < kTile ? count : kTile);
#pragma unroll 2
  for (int k = 0; k < end; k += 4) {
    float4 w[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r)
      w[r] = *reinterpret_cast<const float4*>(weights + r * kTile + k);
#pragma unroll
    for (int e = 0; e < D / 32; ++e) {
      const float* column = b + k * kStride<D> + lane + 32 * e;
      const float b0 = column[0], b1 = column[kStride<D>], b2 = column[2 * kStride<D>],
                  b3 = column[3 * kStride<D>];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        sums[r][e] += w[r].x * b0 + w[r].y * b1 + w[r].z * b2 + w[r].w * b3;
    }
  }
}

/// The largest score of a row's softmax and 1 / its sum.
__device__ inline float2& statistics_of(const AttentionCall& c, int64_t row, int64_t head) {
  return reinterpret_cast<float2*>(c.statistics)[row * c.heads + head];
}

/// The weight of a score.
__device__ inline float weight_of(float score, float2 statistics) {
  return expf(score - statistics.x) * statistics.y;
}

/// Writes rows `begin` + first .. of one head, those before `end`.
template <class T, int D>
__device__ void store_rows(const Matrix& m, int64_t begin, int64_t end, int first, int64_t column,
                           int64_t head, int lane, const float (&sums)[kRows][D / 32]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = begin + first + r;
    if (row >= end) return;
#pragma unroll
    for (int e = 0; e < D / 32; ++e) {
      const int channel = lane + 32 * e;
      if (channel < head) row_to<T>(m, row)[column + channel] = narrow<T>(sums[r][e]);
    }
  }
}

/// Zeros in one head's columns of rows begin .. end, by the blocks of the grid's first dimension.
template <class T>
__device__ void clear_rows(const Matrix& m, int64_t begin, int64_t end, int64_t column,
                           int64_t head) {
  for (int64_t row = begin + blockIdx.x; row < end; row += gridDim.x)
    for (int64_t i = threadIdx.x; i < head; i += blockDim.x)
      row_to<T>(m, row)[column + i] = narrow<T>(0.0f);
}

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
