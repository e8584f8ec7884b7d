// Attention's gradients in bfloat16: the equations and the two kernels of attention_backward.cu, by
// tensor cores.
#include "lib/backend/cuda/attention_matrix.cuh"

namespace mtlora::backend::cuda {
namespace {

/// δ of the two rows that a lane holds parts of, from row `begin` of the matrix on; the tile holds
/// do of the warp's rows.
template <int D>
__device__ void deltas(const AttentionCall& c, const Bf16* douts, int64_t begin, int64_t end,
                       int64_t column, int lane, float (&delta)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = row_at(lane, 2 * half);
    float sum = 0;
    if (begin + row < end) {
      const float* out = c.wide + (begin + row) * c.heads * c.head + column;
      for (int i = lane % 4; i < c.head; i += 4) sum += widen(douts[row * kPitch<D> + i]) * out[i];
    }
    delta[half] = quad_sum(sum);
  }
}

/// Adds a warp's slopes to a table with a row of `count` sums for each of the warp's rows:
/// where(r, k) is the column for row r and column k of the scores, or -1. `room` [16, 32].
template <class Where>
__device__ void add_by_distance(float* table, int64_t count, const Scores& slopes, float* room,
                                int lane, Where&& where) {
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      room[row_at(lane, e) * kColumns + column_at(lane, n, e)] = slopes[n][e];
  __syncwarp();
  for (int r = 0; r < kWarpRows; ++r)
    add_by_column(table + r * count, where(r, lane), room[r * kColumns + lane], lane);
}

template <int D, bool kRelative>
__global__ void __launch_bounds__(32 * kMostWarps) query_kernel(AttentionBackwardCall b) {
  const AttentionCall& c = b.forward;
  const int64_t head = blockIdx.y, sequence = blockIdx.z;
  const int64_t column = head * c.head, kv_column = head / (c.heads / c.kv_heads) * c.head;
  if (sequence == c.sequences) {
    if (!c.pooled) clear_rows<Bf16>(b.dq, c.offsets[sequence], c.query_rows, column, c.head);
    return;
  }
  const Span span = span_of(c, sequence);
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const int64_t block_begin = static_cast<int64_t>(blockIdx.x) * block_rows;
  if (block_begin >= span.queries) return;

  Bf16* queries = reinterpret_cast<Bf16*>(shared_floats());
  Bf16 *douts = queries + block_rows * kPitch<D>, *keys = douts + block_rows * kPitch<D>,
       *values = keys + kColumns * kPitch<D>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  float* room = reinterpret_cast<float*>(values + kColumns * kPitch<D>) + first * kColumns;
  const int64_t end = span.first_query + span.queries;
  load_rows<D>(queries, block_rows, c.q, span.first_query + block_begin, end, column, c.head);
  load_rows<D>(douts, block_rows, b.dout, span.first_query + block_begin, end, column, c.head);
  __syncthreads();
  queries += first * kPitch<D>;
  douts += first * kPitch<D>;
  const int64_t q0 = block_begin + first, begin = span.first_query + q0;  // the warp's first query

  float delta[2];
  float2 statistics[2]{};
  MaskRow bits[2]{};
  Sums<D> sums{};
  deltas<D>(c, douts, begin, end, column, lane, delta);
  for (int half = 0; half < 2; ++half) {
    const int64_t row = begin + row_at(lane, 2 * half);
    if (row >= end) continue;
    statistics[half] = statistics_of(c, row, head);
    if (lane % 4 == 0) b.delta[row * c.heads + head] = delta[half];
    if (c.mask.rows) bits[half] = mask_row(head_key(key_of(c.mask), head), c.mask.rows[row]);
  }

  const bool is_idle = q0 >= span.queries;
  const int64_t limit = c.causal ? min(span.keys, block_begin + block_rows) : span.keys;
  const auto is_there = [&](int64_t i, int64_t j) {
    return i < span.queries && j < span.keys && (!c.causal || j <= i);
  };
  for (int64_t k0 = 0; k0 < limit; k0 += kColumns) {
    const int64_t first_key = span.first_key + k0, last_key = span.first_key + span.keys;
    __syncthreads();
    load_rows<D>(keys, kColumns, c.k, first_key, last_key, kv_column, c.head);
    load_rows<D>(values, kColumns, c.v, first_key, last_key, kv_column, c.head);
    __syncthreads();
    if (is_idle) continue;
    Scores scores, slopes;
    products<D>(queries, keys, limit - k0, lane, scores);
    products<D>(douts, values, limit - k0, lane, slopes);
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t i = q0 + row_at(lane, e), j = k0 + column_at(lane, n, e);
        const float dweight = slopes[n][e];
        slopes[n][e] = 0;
        if (!is_there(i, j)) continue;
        float score = scores[n][e];
        if constexpr (kRelative)
          score += relative_score(c, head, span.first_query + i, span.first_key + j, i - j);
        const float factor = c.mask.rows ? factor_of(bits[e / 2], j, c.mask) : 1.0f;
        slopes[n][e] = weight_of(score * c.scale, statistics[e / 2]) *
                       (dweight * factor - delta[e / 2]) * c.scale;
      }
    add_weighted<D>(slopes, keys, limit - k0, lane, sums);
    if constexpr (kRelative)
      if (c.relative.dc2p)
        add_by_distance(c.relative.dc2p + (head * c.query_rows + begin) * c.relative.count,
                        c.relative.count, slopes, room, lane, [&](int r, int k) {
                          const int64_t i = q0 + r, j = k0 + k;
                          return is_there(i, j) ? c.relative.row_of[i - j + c.relative.reach - 1]
                                                : -1;
                        });
  }
  if (!is_idle) store_rows<Bf16, D>(b.dq, begin, end, column, c.head, lane, sums);
}

/// What the keys' kernel knows of a tile's queries.
struct OfQueries {
  float2 statistics[kColumns];
  float delta[kColumns];
  MaskRow bits[kColumns];
};

__device__ inline void load_queries(OfQueries& to, const AttentionBackwardCall& b, int64_t head,
                                    int64_t begin, int64_t end) {
  const AttentionCall& c = b.forward;
  const int i = static_cast<int>(threadIdx.x);
  if (i >= kColumns) return;
  const int64_t row = begin + i;
  to.statistics[i] = row < end ? statistics_of(c, row, head) : float2{};
  to.delta[i] = row < end ? b.delta[row * c.heads + head] : 0.0f;
  to.bits[i] = c.mask.rows && row < end ? mask_row(head_key(key_of(c.mask), head), c.mask.rows[row])
                                        : MaskRow{};
}

// A block: 16 keys a warp of one key/value head of one sequence, over all query heads that read it.
// Rows of the scores are keys here, columns are queries.
template <int D, bool kRelative>
__global__ void __launch_bounds__(32 * kMostWarps) key_kernel(AttentionBackwardCall b) {
  const AttentionCall& c = b.forward;
  const int64_t kv_head = blockIdx.y, sequence = blockIdx.z, group = c.heads / c.kv_heads;
  const int64_t kv_column = kv_head * c.head;
  if (sequence == c.sequences) {
    clear_rows<Bf16>(b.dk, c.offsets[sequence], c.key_rows, kv_column, c.head);
    clear_rows<Bf16>(b.dv, c.offsets[sequence], c.key_rows, kv_column, c.head);
    return;
  }
  const Span span = span_of(c, sequence);
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const int64_t block_begin = static_cast<int64_t>(blockIdx.x) * block_rows;
  if (block_begin >= span.keys) return;

  __shared__ OfQueries of_queries;
  Bf16* keys = reinterpret_cast<Bf16*>(shared_floats());
  Bf16 *values = keys + block_rows * kPitch<D>, *queries = values + block_rows * kPitch<D>,
       *douts = queries + kColumns * kPitch<D>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  float* room = reinterpret_cast<float*>(douts + kColumns * kPitch<D>) + first * kColumns;
  const int64_t end = span.first_key + span.keys;
  load_rows<D>(keys, block_rows, c.k, span.first_key + block_begin, end, kv_column, c.head);
  load_rows<D>(values, block_rows, c.v, span.first_key + block_begin, end, kv_column, c.head);
  keys += first * kPitch<D>;
  values += first * kPitch<D>;
  const int64_t k0 = block_begin + first, begin = span.first_key + k0;  // the warp's first key

  Sums<D> dkeys{}, dvalues{};
  const bool is_idle = k0 >= span.keys;
  const auto is_there = [&](int64_t i, int64_t j) {
    return i < span.queries && j < span.keys && (!c.causal || j <= i);
  };
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t column = head * c.head;
    for (int64_t q0 = c.causal ? block_begin / kColumns * kColumns : 0; q0 < span.queries;
         q0 += kColumns) {
      const int64_t first_row = span.first_query + q0, last_row = span.first_query + span.queries;
      __syncthreads();
      load_rows<D>(queries, kColumns, c.q, first_row, last_row, column, c.head);
      load_rows<D>(douts, kColumns, b.dout, first_row, last_row, column, c.head);
      load_queries(of_queries, b, head, first_row, last_row);
      __syncthreads();
      if (is_idle) continue;
      Scores weights, slopes;
      products<D>(keys, queries, span.queries - q0, lane, weights);
      products<D>(values, douts, span.queries - q0, lane, slopes);
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int k = column_at(lane, n, e);
          const int64_t i = q0 + k, j = k0 + row_at(lane, e);
          float score = weights[n][e];
          const float dweight = slopes[n][e];
          weights[n][e] = slopes[n][e] = 0;
          if (!is_there(i, j)) continue;
          if constexpr (kRelative)
            score += relative_score(c, head, span.first_query + i, span.first_key + j, i - j);
          const float p = weight_of(score * c.scale, of_queries.statistics[k]);
          const float factor = c.mask.rows ? factor_of(of_queries.bits[k], j, c.mask) : 1.0f;
          weights[n][e] = p * factor;
          slopes[n][e] = p * (dweight * factor - of_queries.delta[k]) * c.scale;
        }
      add_weighted<D>(slopes, queries, span.queries - q0, lane, dkeys);
      add_weighted<D>(weights, douts, span.queries - q0, lane, dvalues);
      if constexpr (kRelative)
        if (c.relative.dp2c)
          add_by_distance(c.relative.dp2c + (head * c.key_rows + begin) * c.relative.count,
                          c.relative.count, slopes, room, lane, [&](int r, int k) {
                            const int64_t i = q0 + k, j = k0 + r;
                            return is_there(i, j) ? c.relative.row_of[i - j + c.relative.reach - 1]
                                                  : -1;
                          });
    }
  }
  if (is_idle) return;
  store_rows<Bf16, D>(b.dk, begin, end, kv_column, c.head, lane, dkeys);
  store_rows<Bf16, D>(b.dv, begin, end, kv_column, c.head, lane, dvalues);
}

template <int D, bool kRelative>
void run(const AttentionBackwardCall& b, Stream stream) {
  const AttentionCall& c = b.forward;
  const auto sequences = static_cast<unsigned>(c.sequences + 1);
  const auto bytes = [](int rows) {
    const size_t room = kRelative ? static_cast<size_t>(rows) * kColumns * sizeof(float) : 0;
    return static_cast<size_t>(2 * rows + 2 * kColumns) * kPitch<D> * sizeof(Bf16) + room;
  };
  const int query_warps = c.pooled ? 1 : warps_for(c.longest), query_rows = query_warps * kWarpRows;
  const dim3 of_queries(blocks_for(c.pooled ? 1 : c.longest, query_rows),
                        static_cast<unsigned>(c.heads), sequences);
  launch("attention_backward, bf16, queries", query_kernel<D, kRelative>, of_queries,
         32 * query_warps, bytes(query_rows), stream, b);
  const int key_warps = warps_for(c.longest), key_rows = key_warps * kWarpRows;
  const dim3 of_keys(blocks_for(c.longest, key_rows), static_cast<unsigned>(c.kv_heads), sequences);
  launch("attention_backward, bf16, keys", key_kernel<D, kRelative>, of_keys, 32 * key_warps,
         bytes(key_rows), stream, b);
}

}  // namespace

void attention_backward_bf16(const AttentionBackwardCall& call, Stream stream) {
  with_width(call.forward.head, [&](auto width) {
    constexpr int D = decltype(width)::value;
    if (call.forward.relative.row_of)
      run<D, true>(call, stream);
    else
      run<D, false>(call, stream);
  });
}

}  // namespace mtlora::backend::cuda
