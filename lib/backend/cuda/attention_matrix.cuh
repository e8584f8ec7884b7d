// The pieces of the attention kernels of bfloat16. A warp works on 16 rows by 32 columns of one
// head's scores, by tensor cores; the warps of a block share the tiles of the other side's rows.
// Tiles lie in shared memory as they are in the activations; scores, weights, slopes and sums are
// fp32 in the lanes. Weights and slopes are multiplied again as two bfloat16 each, the rounded
// value and what rounding left: one alone would lose the small differences that a gradient consists
// of.
#pragma once

#include "lib/backend/cuda/attention_common.cuh"
#include "lib/backend/cuda/tensor_core.cuh"

namespace mtlora::backend::cuda {

constexpr int kWarpRows = 16;  // of the scores
constexpr int kColumns = 32;   // of the scores, of one tile
constexpr int kMostWarps = 4;  // of a block

/// Elements between the rows of a tile: eight more than a row has, so that the eight rows that
/// ldmatrix reads at once meet different banks.
template <int D>
constexpr int kPitch = D + 8;

/// A warp's scores: blocks of 8 columns, each as multiply_add() leaves it.
using Scores = float[kColumns / 8][4];
/// A warp's rows by all channels of a head.
template <int D>
using Sums = float[D / 8][4];

/// Where element e of block n stands, of the warp's rows and of the columns.
__device__ inline int row_at(int lane, int e) {
  return lane / 4 + e / 2 * 8;
}
__device__ inline int column_at(int lane, int n, int e) {
  return 8 * n + lane % 4 * 2 + e % 2;
}

/// Over the four lanes that hold a row.
__device__ inline float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ inline float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

/// The first `count` of eight values beside each other, then zeros.
__device__ inline uint4 eight(const Bf16* from, int64_t count) {
  if (count >= 8 && reinterpret_cast<uintptr_t>(from) % 16 == 0)
    return *reinterpret_cast<const uint4*>(from);
  float x[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = i < count ? widen(from[i]) : 0.0f;
  return {pair_of(x[0], x[1]), pair_of(x[2], x[3]), pair_of(x[4], x[5]), pair_of(x[6], x[7])};
}

/// Begins to load rows `begin` .. begin + rows of one head of a matrix, by the whole block; zeros
/// from row `end` and channel `head` on. They are there after loaded().
template <int D>
__device__ void begin_loading(Bf16* tile, int rows, const Matrix& m, int64_t begin, int64_t end,
                              int64_t column, int64_t head) {
  constexpr int kLanes = D / 8;  // of a row
  const int first = static_cast<int>(threadIdx.x) / kLanes,
            step = static_cast<int>(blockDim.x) / kLanes,
            channel = static_cast<int>(threadIdx.x) % kLanes * 8,
            left = static_cast<int>(head) - channel,
            there = left > 0 ? static_cast<int>(min(static_cast<int64_t>(rows), end - begin)) : 0;
  const Bf16* from = row_of<Bf16>(m, begin + first) + column + channel;
  Bf16* to = tile + first * kPitch<D> + channel;
  const bool is_whole =
      left >= 8 &&
      (reinterpret_cast<uintptr_t>(from) | static_cast<uintptr_t>(2 * m.stride)) % 16 == 0;
  for (int row = first; row < rows; row += step) {
    if (row >= there)
      *reinterpret_cast<uint4*>(to) = {};
    else if (is_whole)
      begin_copy(to, from);
    else
      *reinterpret_cast<uint4*>(to) = eight(from, left);
    from += step * m.stride;
    to += step * kPitch<D>;
  }
}

/// Waits for what the block has begun to load.
__device__ inline void loaded() {
  wait_for_copies();
  __syncthreads();
}

/// How many rows of a tile products() and add_weighted() read where `count` are there.
__device__ inline int rows_read(int count) {
  return count > 16 ? kColumns : 16;
}

/// Begins to load the keys of a tile, from place k0 of the sequence on, and their values; the block
/// looks at those before `limit`.
template <int D>
__device__ void begin_keys(Bf16* keys, Bf16* values, const AttentionCall& c, const Span& span,
                           int k0, int limit, int64_t kv_column) {
  const int64_t begin = span.first_key + k0, end = span.first_key + span.keys;
  begin_loading<D>(keys, rows_read(limit - k0), c.k, begin, end, kv_column, c.head);
  begin_loading<D>(values, rows_read(limit - k0), c.v, begin, end, kv_column, c.head);
}

/// f(n, e) of the scores in the first `count` columns, rounded up to 16: the others are 0.
template <class F>
__device__ void for_scores(int count, F&& f) {
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n) {
    if (n / 2 * 16 >= count) break;
#pragma unroll
    for (int e = 0; e < 4; ++e) f(n, e);
  }
}

/// scores = a bᵀ of the warp's 16 rows and of `count` rows of the other side; 0 in columns from
/// there on, rounded up to 16.
template <int D>
__device__ void products(const Bf16* a, const Bf16* b, int count, int lane, Scores& scores) {
  for (auto& block : scores)
    for (float& s : block) s = 0;
  const Bf16* left = a + lane % 16 * kPitch<D> + lane / 16 * 8;
  const Bf16* right = b + (lane % 8 + lane / 16 * 8) * kPitch<D> + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < D; k += 16) {
    uint32_t rows[4];
    load_matrices<false>(rows, left + k);
#pragma unroll
    for (int n = 0; n < kColumns / 16; ++n) {
      if (16 * n >= count) break;
      uint32_t columns[4];
      load_matrices<false>(columns, right + 16 * n * kPitch<D> + k);
      multiply_add(scores[2 * n], rows, {columns[0], columns[1]});
      multiply_add(scores[2 * n + 1], rows, {columns[2], columns[3]});
    }
  }
}

/// sums += weights b, over the first `count` rows of b; weights are 0 from there on.
template <int D>
__device__ void add_weighted(const Scores& weights, const Bf16* b, int count, int lane,
                             Sums<D>& sums) {
  const Bf16* right = b + lane % 16 * kPitch<D> + lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < kColumns / 16; ++k) {
    if (16 * k >= count) break;
    const auto &low = weights[2 * k], &high = weights[2 * k + 1];
    uint32_t rows[4], rest[4];
    split_pair(low[0], low[1], rows[0], rest[0]);
    split_pair(low[2], low[3], rows[1], rest[1]);
    split_pair(high[0], high[1], rows[2], rest[2]);
    split_pair(high[2], high[3], rows[3], rest[3]);
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      uint32_t columns[4];
      load_matrices<true>(columns, right + 16 * k * kPitch<D> + 16 * n);
      multiply_add(sums[2 * n], rows, {columns[0], columns[1]});
      multiply_add(sums[2 * n + 1], rows, {columns[2], columns[3]});
      multiply_add(sums[2 * n], rest, {columns[0], columns[1]});
      multiply_add(sums[2 * n + 1], rest, {columns[2], columns[3]});
    }
  }
}

/// The places of a query and of a key in their sequence.
struct Pair {
  int query, key;
};

/// The numbers of a block's sequence. (Not 64 bits: what is done for every score is to be little.)
struct Sizes {
  int queries, keys;
  bool causal;

  __device__ Sizes(const AttentionCall& c, const Span& span)
      : queries(static_cast<int>(span.queries)),
        keys(static_cast<int>(span.keys)),
        causal(c.causal) {}

  /// Whether both are there, and the query looks at the key.
  __device__ bool has(Pair pair) const {
    return pair.query < queries && pair.key < keys && (!causal || pair.key <= pair.query);
  }
};

__device__ inline void store_two(Bf16* to, float first, float second) {
  *reinterpret_cast<uint32_t*>(to) = pair_of(first, second);
}
__device__ inline void store_two(float* to, float first, float second) {
  *reinterpret_cast<float2*>(to) = {first, second};
}

/// Writes the warp's rows of one head from row `begin` of the matrix on, those before `end`.
template <class T, int D>
__device__ void store_rows(const Matrix& m, int64_t begin, int64_t end, int64_t column,
                           int64_t head, int lane, const Sums<D>& sums) {
  constexpr auto size = static_cast<int64_t>(sizeof(T));
#pragma unroll
  for (int e = 0; e < 4; e += 2) {
    const int64_t row = begin + row_at(lane, e);
    if (row >= end) continue;
    T* to = row_to<T>(m, row) + column + column_at(lane, 0, 0);
    const int left = static_cast<int>(head) - column_at(lane, 0, 0);
    const bool is_in_twos = head % 2 == 0 && (reinterpret_cast<uintptr_t>(to) |
                                              static_cast<uintptr_t>(m.stride * size)) %
                                                     (2 * sizeof(T)) ==
                                                 0;
    if (is_in_twos)
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        if (8 * n < left) store_two(to + 8 * n, sums[n][e], sums[n][e + 1]);
      }
    else
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        if (8 * n < left) to[8 * n] = narrow<T>(sums[n][e]);
        if (8 * n + 1 < left) to[8 * n + 1] = narrow<T>(sums[n][e + 1]);
      }
  }
}

/// One warp's blocks serve short sequences best: there is less to wait for.
inline int warps_for(int64_t longest) {
  return longest <= 64 ? 1 : kMostWarps;
}

}  // namespace mtlora::backend::cuda
