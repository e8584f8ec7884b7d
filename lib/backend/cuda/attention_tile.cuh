// The pieces of the attention kernels of fp32. A block of four warps works on tiles of 32 rows by
// 32 columns of one head's scores: each warp has 8 rows of the tile, each lane one column. Tiles of
// queries, keys and values lie in shared memory in fp32.
#pragma once

#include "lib/backend/cuda/attention_common.cuh"

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
/// Rows `begin` .. begin + kTile of one head of a matrix, zeros from row `end` and channel `head`
/// on.
template <int D>
__device__ void load_tile(float* tile, const Matrix& m, int64_t begin, int64_t end, int64_t column,
                          int64_t head) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * (D / 4); i += kAttentionThreads) {
    const int row = i / (D / 4), channel = i % (D / 4) * 4;
    float4 value{0, 0, 0, 0};
    if (begin + row < end && channel < head) {
      const float* from = row_of<float>(m, begin + row) + column + channel;
      if (channel + 4 <= head) {
        value = four(from);
      } else {
        value.x = from[0];
        if (channel + 1 < head) value.y = from[1];
        if (channel + 2 < head) value.z = from[2];
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

/// Writes rows `begin` + first .. of one head, those before `end`.
template <int D>
__device__ void store_rows(const Matrix& m, int64_t begin, int64_t end, int first, int64_t column,
                           int64_t head, int lane, const float (&sums)[kRows][D / 32]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = begin + first + r;
    if (row >= end) return;
#pragma unroll
    for (int e = 0; e < D / 32; ++e) {
      const int channel = lane + 32 * e;
      if (channel < head) row_to<float>(m, row)[column + channel] = sums[r][e];
    }
  }
}

}  // namespace mtlora::backend::cuda
