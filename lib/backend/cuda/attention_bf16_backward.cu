// Attention's gradients in bfloat16: the equations and the two kernels of attention_backward.cu, by
// tensor cores.
#include "lib/backend/cuda/attention_matrix.cuh"

namespace mtlora::backend::cuda {
namespace {

/// What a lane needs of the outputs for δ: of its two rows, every fourth channel.
template <int D>
using Outputs = float[2][D / 4];

template <int D>
__device__ void read_outputs(Outputs<D>& outputs, const AttentionCall& c, int64_t begin,
                             int64_t end, int64_t column, int lane) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t row = begin + row_at(lane, 2 * half);
    const float* out = c.wide + row * c.heads * c.head + column;
#pragma unroll
    for (int i = 0; i < D / 4; ++i) {
      const int channel = 4 * i + lane % 4;
      outputs[half][i] = row < end && channel < c.head ? out[channel] : 0.0f;
    }
  }
}

/// δ of the two rows that a lane holds parts of; the tile holds do of the warp's rows.
template <int D>
__device__ void deltas(const Outputs<D>& outputs, const Bf16* douts, int lane, float (&delta)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Bf16* row = douts + row_at(lane, 2 * half) * kPitch<D>;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < D / 4; ++i) sum += widen(row[4 * i + lane % 4]) * outputs[half][i];
    delta[half] = quad_sum(sum);
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

template <int D, bool kRelative>
__global__ void __launch_bounds__(32 * kMostWarps) query_kernel(AttentionBackwardCall b) {
  const AttentionCall& c = b.forward;
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const BlockRows block = query_rows<Bf16>(c, b.dq, block_rows);
  if (!block.is_any) return;
  const Span& span = block.span;
  const int64_t head = blockIdx.y, column = head * c.head, kv_column = kv_column_of(c, head);

  Bf16* queries = reinterpret_cast<Bf16*>(shared_floats());
  Bf16 *douts = queries + block_rows * kPitch<D>, *keys = douts + block_rows * kPitch<D>,
       *values = keys + kColumns * kPitch<D>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  float* room = reinterpret_cast<float*>(values + kColumns * kPitch<D>) + first * kColumns;
  const int64_t end = span.first_query + span.queries;
  begin_loading<D>(queries, block_rows, c.q, span.first_query + block.begin, end, column, c.head);
  begin_loading<D>(douts, block_rows, b.dout, span.first_query + block.begin, end, column, c.head);
  const int64_t limit = keys_before(c, span, block.begin + block_rows);
  const auto begin_tile = [&](int64_t k0) {
    const int64_t first_key = span.first_key + k0, last_key = span.first_key + span.keys;
    begin_loading<D>(keys, rows_read(limit - k0), c.k, first_key, last_key, kv_column, c.head);
    begin_loading<D>(values, rows_read(limit - k0), c.v, first_key, last_key, kv_column, c.head);
  };
  begin_tile(0);
  queries += first * kPitch<D>;
  douts += first * kPitch<D>;
  const int64_t q0 = block.begin + first, begin = span.first_query + q0;  // the warp's first query

  float delta[2];
  float2 statistics[2]{};
  MaskRow bits[2]{};
  Sums<D> sums{};
  for (int half = 0; half < 2; ++half) {
    const int64_t row = begin + row_at(lane, 2 * half);
    if (row >= end) continue;
    statistics[half] = statistics_of(c, row, head);
    bits[half] = mask_of(c, head, row);
  }
  {
    Outputs<D> outputs;
    read_outputs<D>(outputs, c, begin, end, column, lane);
    loaded();
    deltas<D>(outputs, douts, lane, delta);
  }
  for (int half = 0; half < 2; ++half) {
    const int64_t row = begin + row_at(lane, 2 * half);
    if (row < end && lane % 4 == 0) b.delta[row * c.heads + head] = delta[half];
  }

  const bool is_idle = q0 >= span.queries;
  for (int64_t k0 = 0; k0 < limit; k0 += kColumns) {
    if (k0 > 0) {
      __syncthreads();
      begin_tile(k0);
      loaded();
    }
    if (is_idle) continue;
    Scores scores, slopes;
    products<D>(queries, keys, limit - k0, lane, scores);
    products<D>(douts, values, limit - k0, lane, slopes);
    if constexpr (kRelative)
      add_relative(scores, c, head, span, limit - k0, [&](int n, int e) {
        return Pair{q0 + row_at(lane, e), k0 + column_at(lane, n, e)};
      });
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t i = q0 + row_at(lane, e), j = k0 + column_at(lane, n, e);
        const float dweight = slopes[n][e];
        slopes[n][e] = 0;
        if (!is_pair(c, span, i, j)) continue;
        const float factor = c.mask.rows ? factor_of(bits[e / 2], j, c.mask) : 1.0f;
        slopes[n][e] = weight_of(scores[n][e] * c.scale, statistics[e / 2]) *
                       (dweight * factor - delta[e / 2]) * c.scale;
      }
    add_weighted<D>(slopes, keys, limit - k0, lane, sums);
    if constexpr (kRelative)
      if (c.relative.dc2p)
        add_by_distance(c.relative.dc2p + (head * c.query_rows + begin) * c.relative.count,
                        c.relative.count, end - begin, slopes, room, lane, [&](int r, int k) {
                          const int64_t i = q0 + r, j = k0 + k;
                          return is_pair(c, span, i, j) ? column_of(c, i - j) : -1;
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
  to.bits[i] = row < end ? mask_of(c, head, row) : MaskRow{};
}

// A block: 16 keys a warp of one key/value head of one sequence, over all query heads that read it.
// Rows of the scores are keys here, columns are queries.
template <int D, bool kRelative>
__global__ void __launch_bounds__(32 * kMostWarps) key_kernel(AttentionBackwardCall b) {
  const AttentionCall& c = b.forward;
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const BlockRows block = key_rows<Bf16>(c, b.dk, b.dv, block_rows);
  if (!block.is_any) return;
  const Span& span = block.span;
  const int64_t kv_head = blockIdx.y, kv_column = kv_head * c.head,
                group = static_cast<uint32_t>(c.heads) / static_cast<uint32_t>(c.kv_heads);

  __shared__ OfQueries of_queries;
  Bf16* keys = reinterpret_cast<Bf16*>(shared_floats());
  Bf16 *values = keys + block_rows * kPitch<D>, *queries = values + block_rows * kPitch<D>,
       *douts = queries + kColumns * kPitch<D>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  float* room = reinterpret_cast<float*>(douts + kColumns * kPitch<D>) + first * kColumns;
  const int64_t end = span.first_key + span.keys;
  begin_loading<D>(keys, block_rows, c.k, span.first_key + block.begin, end, kv_column, c.head);
  begin_loading<D>(values, block_rows, c.v, span.first_key + block.begin, end, kv_column, c.head);
  keys += first * kPitch<D>;
  values += first * kPitch<D>;
  const int64_t k0 = block.begin + first, begin = span.first_key + k0;  // the warp's first key

  Sums<D> dkeys{}, dvalues{};
  const bool is_idle = k0 >= span.keys;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t column = head * c.head;
    for (int64_t q0 = c.causal ? block.begin / kColumns * kColumns : 0; q0 < span.queries;
         q0 += kColumns) {
      const int64_t first_row = span.first_query + q0, last_row = span.first_query + span.queries;
      const int read = rows_read(span.queries - q0);
      __syncthreads();
      begin_loading<D>(queries, read, c.q, first_row, last_row, column, c.head);
      begin_loading<D>(douts, read, b.dout, first_row, last_row, column, c.head);
      load_queries(of_queries, b, head, first_row, last_row);
      loaded();
      if (is_idle) continue;
      Scores weights, slopes;
      products<D>(keys, queries, span.queries - q0, lane, weights);
      products<D>(values, douts, span.queries - q0, lane, slopes);
      if constexpr (kRelative)
        add_relative(weights, c, head, span, span.queries - q0, [&](int n, int e) {
          return Pair{q0 + column_at(lane, n, e), k0 + row_at(lane, e)};
        });
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int k = column_at(lane, n, e);
          const int64_t i = q0 + k, j = k0 + row_at(lane, e);
          const float score = weights[n][e], dweight = slopes[n][e];
          weights[n][e] = slopes[n][e] = 0;
          if (!is_pair(c, span, i, j)) continue;
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
                          c.relative.count, end - begin, slopes, room, lane, [&](int r, int k) {
                            const int64_t i = q0 + k, j = k0 + r;
                            return is_pair(c, span, i, j) ? column_of(c, i - j) : -1;
                          });
    }
  }
  if (is_idle) return;
  store_rows<Bf16, D>(b.dk, begin, end, kv_column, c.head, lane, dkeys);
  store_rows<Bf16, D>(b.dv, begin, end, kv_column, c.head, lane, dvalues);
}

template <class F>
void run(const AttentionBackwardCall& b, Stream stream) {
  constexpr int D = F::width;
  const AttentionCall& c = b.forward;
  const auto bytes = [](int rows) {
    const size_t room = F::is_relative ? static_cast<size_t>(rows) * kColumns * sizeof(float) : 0;
    return static_cast<size_t>(2 * rows + 2 * kColumns) * kPitch<D> * sizeof(Bf16) + room;
  };
  const int query_warps = c.pooled ? 1 : warps_for(c.longest), query_rows = query_warps * kWarpRows;
  launch("attention_backward, bf16, queries", query_kernel<D, F::is_relative>,
         query_grid(c, query_rows), 32 * query_warps, bytes(query_rows), stream, b);
  const int key_warps = warps_for(c.longest), key_rows = key_warps * kWarpRows;
  launch("attention_backward, bf16, keys", key_kernel<D, F::is_relative>, key_grid(c, key_rows),
         32 * key_warps, bytes(key_rows), stream, b);
}

}  // namespace

void attention_backward_bf16(const AttentionBackwardCall& call, Stream stream) {
  with_form(call.forward, [&](auto form) { run<decltype(form)>(call, stream); });
}

}  // namespace mtlora::backend::cuda
