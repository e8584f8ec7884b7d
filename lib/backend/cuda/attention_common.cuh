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

/// Whether the query at place i of its sequence looks at the key at place j, and both are there.
__device__ inline bool is_pair(const AttentionCall& c, const Span& span, int64_t i, int64_t j) {
  return i < span.queries && j < span.keys && (!c.causal || j <= i);
}

/// How many keys queries before place `end` look at.
__device__ inline int64_t keys_before(const AttentionCall& c, const Span& span, int64_t end) {
  return c.causal ? min(span.keys, end) : span.keys;
}

/// Where the keys and values of a query head's columns begin.
__device__ inline int64_t kv_column_of(const AttentionCall& c, int64_t head) {
  // not as 64 bits, which a device divides slowly
  const auto group = static_cast<uint32_t>(c.heads) / static_cast<uint32_t>(c.kv_heads);
  return static_cast<uint32_t>(head) / group * c.head;
}

/// Dropout's bits of one query of one head; where there is no dropout, of no meaning.
__device__ inline MaskRow mask_of(const AttentionCall& c, int64_t head, int64_t row) {
  return c.mask.rows ? mask_row(head_key(key_of(c.mask), head), c.mask.rows[row]) : MaskRow{};
}

/// The column of a distance in the tables of disentangled attention.
__device__ inline int column_of(const AttentionCall& c, int64_t distance) {
  return c.relative.row_of[distance + c.relative.reach - 1];
}

/// What disentangled attention adds to the score of query row q (place i) and key row k (place j).
__device__ inline float relative_score(const AttentionCall& c, int64_t head, int64_t q, int64_t k,
                                       int64_t distance) {
  const Relative& r = c.relative;
  const int column = column_of(c, distance);
  float sum = 0;
  if (r.c2p) sum += r.c2p[(head * c.query_rows + q) * r.count + column];
  if (r.p2c) sum += r.p2c[(head * c.key_rows + k) * r.count + column];
  return sum;
}

/// A part of a sum over the lanes of one column.
struct OfColumn {
  float sum;
  bool is_whole;  ///< this lane has the whole sum, and its column is one
};

/// Sums each lane's value among the lanes of its column, which stand together; the first of them
/// has the sum. column < 0: none.
__device__ inline OfColumn sum_by_column(int column, float value, int lane) {
  const int before = __shfl_up_sync(0xffffffffu, column, 1);
  const bool is_first = lane == 0 || before != column;
  if (__any_sync(0xffffffffu, column >= 0 && !is_first))
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const float other = __shfl_down_sync(0xffffffffu, value, step);
      const int its_column = __shfl_down_sync(0xffffffffu, column, step);
      if (lane + step < 32 && its_column == column) value += other;
    }
  return {value, column >= 0 && is_first};
}

/// Adds each lane's value to table[column], by sum_by_column().
__device__ inline void add_by_column(float* table, int column, float value, int lane) {
  const OfColumn mine = sum_by_column(column, value, lane);
  if (mine.is_whole) table[column] += mine.sum;
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

/// The rows that a block works on: those of its sequence from place `begin` on, if there are any.
struct BlockRows {
  Span span{};
  int64_t begin = 0;
  bool is_any = false;
};

/// Of queries, `count` a block; the grid is query_grid()'s. The blocks behind the last sequence
/// clear the filler's rows of `out` instead.
template <class T>
__device__ BlockRows query_rows(const AttentionCall& c, const Matrix& out, int64_t count,
                                int64_t head = blockIdx.y) {
  const int64_t sequence = blockIdx.z;
  if (sequence == c.sequences) {
    if (!c.pooled) clear_rows<T>(out, c.offsets[sequence], c.query_rows, head * c.head, c.head);
    return {};
  }
  const Span span = span_of(c, sequence);
  const int64_t begin = blockIdx.x * count;
  return {span, begin, begin < span.queries};
}

/// The same of keys, of key_grid() and of two matrices.
template <class T>
__device__ BlockRows key_rows(const AttentionCall& c, const Matrix& dk, const Matrix& dv,
                              int64_t count, int64_t head = blockIdx.y) {
  const int64_t sequence = blockIdx.z;
  if (sequence == c.sequences) {
    clear_rows<T>(dk, c.offsets[sequence], c.key_rows, head * c.head, c.head);
    clear_rows<T>(dv, c.offsets[sequence], c.key_rows, head * c.head, c.head);
    return {};
  }
  const Span span = span_of(c, sequence);
  const int64_t begin = blockIdx.x * count;
  return {span, begin, begin < span.keys};
}

/// Blocks of `count` queries of each head of each sequence, and those that clear filler.
inline dim3 query_grid(const AttentionCall& c, int64_t count) {
  return dim3(blocks_for(c.pooled ? 1 : c.longest, count), static_cast<unsigned>(c.heads),
              static_cast<unsigned>(c.sequences + 1));
}
inline dim3 key_grid(const AttentionCall& c, int64_t count) {
  return dim3(blocks_for(c.longest, count), static_cast<unsigned>(c.kv_heads),
              static_cast<unsigned>(c.sequences + 1));
}

/// What kernels are compiled for: the width of a head's tiles, and whether attention is
/// disentangled.
template <int D, bool kRelative>
struct Form {
  static constexpr int width = D;
  static constexpr bool is_relative = kRelative;
};

/// Calls f with the form of a call.
template <class F>
void with_form(const AttentionCall& c, F&& f) {
  const bool is_relative = c.relative.row_of != nullptr;
  if (c.head <= 32)
    is_relative ? f(Form<32, true>{}) : f(Form<32, false>{});
  else if (c.head <= 64)
    is_relative ? f(Form<64, true>{}) : f(Form<64, false>{});
  else
    is_relative ? f(Form<128, true>{}) : f(Form<128, false>{});
}

}  // namespace mtlora::backend::cuda
