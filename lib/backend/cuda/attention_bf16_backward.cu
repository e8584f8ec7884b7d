// Attention's gradients in bfloat16: the equations of attention_backward.cu, by tensor cores and in
// one kernel. Its blocks go over the keys of a tile of queries or over the queries of a tile of
// keys; each finds δ by itself, so that none waits for another.
#include "lib/backend/cuda/attention_relative.cuh"

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

// A block's part of dq and of the queries' sums by distance: 16 queries a warp of one head.
template <int D, bool kRelative>
__device__ void through_queries(const AttentionBackwardCall& b, int64_t head) {
  const AttentionCall& c = b.forward;
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const BlockRows block = query_rows<Bf16>(c, b.dq, block_rows, head);
  if (!block.is_any) return;
  const Span& span = block.span;
  const Sizes sizes(c, span);
  const int64_t column = head * c.head, kv_column = kv_column_of(c, head);

  Bf16* queries = reinterpret_cast<Bf16*>(shared_floats());
  Bf16 *douts = queries + block_rows * kPitch<D>, *keys = douts + block_rows * kPitch<D>,
       *values = keys + kColumns * kPitch<D>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  float* room = reinterpret_cast<float*>(values + kColumns * kPitch<D>) + first * kColumns;
  const int64_t end = span.first_query + span.queries;
  begin_loading<D>(queries, block_rows, c.q, span.first_query + block.begin, end, column, c.head);
  begin_loading<D>(douts, block_rows, b.dout, span.first_query + block.begin, end, column, c.head);
  const int limit = static_cast<int>(keys_before(c, span, block.begin + block_rows));
  begin_keys<D>(keys, values, c, span, 0, limit, kv_column);
  queries += first * kPitch<D>;
  douts += first * kPitch<D>;
  const int q0 = static_cast<int>(block.begin) + first;  // the warp's first query
  const int64_t begin = span.first_query + q0;

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

  const bool is_idle = q0 >= sizes.queries;
  for (int k0 = 0; k0 < limit; k0 += kColumns) {
    if (k0 > 0) {
      __syncthreads();
      begin_keys<D>(keys, values, c, span, k0, limit, kv_column);
      loaded();
    }
    if (is_idle) continue;
    const int count = limit - k0;
    const auto pair_of_score = [&](int n, int e) {
      return Pair{q0 + row_at(lane, e), k0 + column_at(lane, n, e)};
    };
    Scores scores, slopes;
    products<D>(queries, keys, count, lane, scores);
    products<D>(douts, values, count, lane, slopes);
    if constexpr (kRelative) add_relative(scores, c, head, span, count, pair_of_score);
    for_scores(count, [&](int n, int e) {
      const Pair pair = pair_of_score(n, e);
      const float factor = c.mask.rows ? factor_of(bits[e / 2], pair.key, c.mask) : 1.0f;
      const float slope = weight_of(scores[n][e] * c.scale, statistics[e / 2]) *
                          (slopes[n][e] * factor - delta[e / 2]) * c.scale;
      slopes[n][e] = sizes.has(pair) ? slope : 0.0f;
    });
    add_weighted<D>(slopes, keys, count, lane, sums);
    if constexpr (kRelative)
      if (c.relative.dc2p)
        add_by_distance(c.relative.dc2p + (head * c.query_rows + begin) * c.relative.count,
                        c.relative.count, end - begin, slopes, room, lane, [&](int r, int k) {
                          const Pair pair{q0 + r, k0 + k};
                          return sizes.has(pair) ? column_of(c, pair.query - pair.key) : -1;
                        });
  }
  if (!is_idle) store_rows<Bf16, D>(b.dq, begin, end, column, c.head, lane, sums);
}

/// What blocks of keys know of a tile's queries.
struct OfQueries {
  float2 statistics[kColumns];
  float delta[kColumns];
  MaskRow bits[kColumns];
};

__device__ inline void load_queries(OfQueries& to, const AttentionCall& c, int64_t head,
                                    int64_t begin, int64_t end) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= kColumns) return;
  const int64_t row = begin + i;
  to.statistics[i] = row < end ? statistics_of(c, row, head) : float2{};
  to.bits[i] = row < end ? mask_of(c, head, row) : MaskRow{};
}

/// δ of a tile's queries, by the whole block, four threads a query; the tile holds their do.
template <int D>
__device__ void find_deltas(OfQueries& to, const AttentionCall& c, const Bf16* douts, int64_t head,
                            int64_t begin, int64_t end) {
  const int quarter = static_cast<int>(threadIdx.x) % 4;
  for (int i = static_cast<int>(threadIdx.x) / 4; i < kColumns;
       i += static_cast<int>(blockDim.x) / 4) {
    const Bf16* dout = douts + i * kPitch<D>;
    const float* out = c.wide + ((begin + i) * c.heads + head) * c.head;
    float sum = 0;
    if (begin + i < end)
#pragma unroll 8
      for (int channel = quarter; channel < D; channel += 4)
        if (channel < c.head) sum += widen(dout[channel]) * out[channel];
    sum = quad_sum(sum);
    if (quarter == 0) to.delta[i] = sum;
  }
  __syncthreads();
}

// A block's part of dk, dv and of the keys' sums by distance: 16 keys a warp of one key/value head,
// over all query heads that read it. Rows of the scores are keys here, columns are queries.
template <int D, bool kRelative>
__device__ void through_keys(const AttentionBackwardCall& b, int64_t kv_head) {
  const AttentionCall& c = b.forward;
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const BlockRows block = key_rows<Bf16>(c, b.dk, b.dv, block_rows, kv_head);
  if (!block.is_any) return;
  const Span& span = block.span;
  const Sizes sizes(c, span);
  const int64_t kv_column = kv_head * c.head,
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
  const int k0 = static_cast<int>(block.begin) + first;  // the warp's first key
  const int64_t begin = span.first_key + k0;

  Sums<D> dkeys{}, dvalues{};
  const bool is_idle = k0 >= sizes.keys;
  const int first_tile = c.causal ? static_cast<int>(block.begin) / kColumns * kColumns : 0;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
    for (int q0 = first_tile; q0 < sizes.queries; q0 += kColumns) {
      const int64_t column = head * c.head, first_row = span.first_query + q0,
                    last_row = span.first_query + span.queries;
      const int count = sizes.queries - q0;
      __syncthreads();
      begin_loading<D>(queries, rows_read(count), c.q, first_row, last_row, column, c.head);
      begin_loading<D>(douts, rows_read(count), b.dout, first_row, last_row, column, c.head);
      load_queries(of_queries, c, head, first_row, last_row);
      loaded();
      find_deltas<D>(of_queries, c, douts, head, first_row, last_row);
      if (is_idle) continue;
      const auto pair_of_score = [&](int n, int e) {
        return Pair{q0 + column_at(lane, n, e), k0 + row_at(lane, e)};
      };
      Scores weights, slopes;
      products<D>(keys, queries, count, lane, weights);
      products<D>(values, douts, count, lane, slopes);
      if constexpr (kRelative) add_relative(weights, c, head, span, count, pair_of_score);
      for_scores(count, [&](int n, int e) {
        const Pair pair = pair_of_score(n, e);
        const int i = pair.query - q0;
        const float factor = c.mask.rows ? factor_of(of_queries.bits[i], pair.key, c.mask) : 1.0f;
        const float weight = weight_of(weights[n][e] * c.scale, of_queries.statistics[i]);
        const float slope = weight * (slopes[n][e] * factor - of_queries.delta[i]) * c.scale;
        const bool is_there = sizes.has(pair);
        weights[n][e] = is_there ? weight * factor : 0.0f;
        slopes[n][e] = is_there ? slope : 0.0f;
      });
      add_weighted<D>(slopes, queries, count, lane, dkeys);
      add_weighted<D>(weights, douts, count, lane, dvalues);
      if constexpr (kRelative)
        if (c.relative.dp2c)
          add_by_distance(c.relative.dp2c + (head * c.key_rows + begin) * c.relative.count,
                          c.relative.count, end - begin, slopes, room, lane, [&](int r, int k) {
                            const Pair pair{q0 + k, k0 + r};
                            return sizes.has(pair) ? column_of(c, pair.query - pair.key) : -1;
                          });
    }
  if (is_idle) return;
  store_rows<Bf16, D>(b.dk, begin, end, kv_column, c.head, lane, dkeys);
  store_rows<Bf16, D>(b.dv, begin, end, kv_column, c.head, lane, dvalues);
}

// Of the query heads, then of the key/value heads.
template <int D, bool kRelative>
__global__ void __launch_bounds__(32 * kMostWarps) backward_kernel(AttentionBackwardCall b) {
  const int64_t head = blockIdx.y, heads = b.forward.heads;
  if (head < heads)
    through_queries<D, kRelative>(b, head);
  else
    through_keys<D, kRelative>(b, head - heads);
}

template <class F>
void run(const AttentionBackwardCall& b, Stream stream) {
  constexpr int D = F::width;
  const AttentionCall& c = b.forward;
  const int warps = warps_for(c.longest), rows = warps * kWarpRows;
  const size_t room = F::is_relative ? static_cast<size_t>(rows) * kColumns * sizeof(float) : 0;
  const size_t bytes = static_cast<size_t>(2 * rows + 2 * kColumns) * kPitch<D> * sizeof(Bf16);
  dim3 grid = key_grid(c, rows);
  grid.y += static_cast<unsigned>(c.heads);
  launch("attention_backward, bf16", backward_kernel<D, F::is_relative>, grid, 32 * warps,
         bytes + room, stream, b);
}

}  // namespace

void attention_backward_bf16(const AttentionBackwardCall& call, Stream stream) {
  with_form(call.forward, [&](auto form) { run<decltype(form)>(call, stream); });
}

}  // namespace mtlora::backend::cuda
