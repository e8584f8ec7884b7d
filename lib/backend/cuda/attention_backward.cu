// Attention's gradients in fp32, in two kernels that share nothing, so that no sum depends on an
// order of threads: one goes over the keys of each tile of queries (dq), one over the queries of
// each tile of keys (dk, dv). With p the softmax, f dropout's factors and o the output,
//   δ = Σ do · o,  ds = p · (f · (do · v) - δ),  dq = scale · ds k,  dk = scale · dsᵀ q,
//   dv = (p f)ᵀ do
#include "lib/backend/cuda/attention_tile.cuh"

namespace mtlora::backend::cuda {
namespace {

/// δ of a warp's rows; the tile holds do.
template <int D>
__device__ void deltas(const AttentionCall& c, const float* douts, int first, int64_t begin,
                       int64_t end, int64_t column, int lane, float (&delta)[kRows]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    float sum = 0;
    const int64_t row = begin + first + r;
    if (row < end)
      for (int i = lane; i < c.head; i += 32)
        sum += douts[(first + r) * kStride<D> + i] * row_of<float>(c.out, row)[column + i];
    delta[r] = warp_sum(sum);
  }
}

template <int D, bool kRelative>
__global__ void __launch_bounds__(kAttentionThreads) query_kernel(AttentionBackwardCall b) {
  const AttentionCall& c = b.forward;
  const auto [span, q0, is_any] = query_rows<float>(c, b.dq, kTile);
  if (!is_any) return;
  const int64_t head = blockIdx.y, column = head * c.head, kv_column = kv_column_of(c, head);

  float *queries = shared_floats(), *douts = queries + kTileFloats<D>,
        *keys = douts + kTileFloats<D>, *values = keys + kTileFloats<D>;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int first = warp * kRows;
  float* slopes = values + kTileFloats<D> + first * kTile;
  const int64_t begin = span.first_query + q0, end = span.first_query + span.queries;
  load_tile<D>(queries, c.q, begin, end, column, c.head);
  load_tile<D>(douts, b.dout, begin, end, column, c.head);
  __syncthreads();

  float delta[kRows], sums[kRows][D / 32];
  float2 statistics[kRows];
  MaskRow bits[kRows];
  deltas<D>(c, douts, first, begin, end, column, lane, delta);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    for (float& s : sums[r]) s = 0;
    const int64_t row = begin + first + r;
    statistics[r] = row < end ? statistics_of(c, row, head) : float2{};
    if (row < end && lane == 0) b.delta[row * c.heads + head] = delta[r];
    if (row < end) bits[r] = mask_of(c, head, row);
  }

  const bool is_idle = q0 + first >= span.queries;  // all rows of this warp
  const int64_t limit = keys_before(c, span, q0 + kTile);
  for (int64_t k0 = 0; k0 < limit; k0 += kTile) {
    __syncthreads();
    load_tile<D>(keys, c.k, span.first_key + k0, span.first_key + span.keys, kv_column, c.head);
    load_tile<D>(values, c.v, span.first_key + k0, span.first_key + span.keys, kv_column, c.head);
    __syncthreads();
    if (is_idle) continue;
    float scores[kRows], dweights[kRows];
    products<D>(queries, first, keys, lane, scores);
    products<D>(douts, first, values, lane, dweights);
    const int64_t j = k0 + lane;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t i = q0 + first + r;
      const bool is_there = is_pair(c, span, i, j);
      float score = scores[r], ds = 0;
      if (is_there) {
        if constexpr (kRelative)
          score += relative_score(c, head, span.first_query + i, span.first_key + j, i - j);
        const float p = weight_of(score * c.scale, statistics[r]);
        const float factor = c.mask.rows ? factor_of(bits[r], j, c.mask) : 1.0f;
        ds = p * (dweights[r] * factor - delta[r]) * c.scale;
      }
      slopes[r * kTile + lane] = ds;
      if constexpr (kRelative)
        if (c.relative.dc2p && i < span.queries) {
          const int where = is_there ? column_of(c, i - j) : -1;
          const int64_t row = head * c.query_rows + span.first_query + i;
          add_by_column(c.relative.dc2p + row * c.relative.count, where, ds, lane);
        }
    }
    __syncwarp();
    add_weighted<D>(slopes, keys, limit - k0, lane, sums);
    __syncwarp();
  }
  store_rows<D>(b.dq, begin, end, first, column, c.head, lane, sums);
}

// A block: 32 keys of one key/value head of one sequence, over all query heads that read it.
template <int D, bool kRelative>
__global__ void __launch_bounds__(kAttentionThreads) key_kernel(AttentionBackwardCall b) {
  const AttentionCall& c = b.forward;
  const auto [span, k0, is_any] = key_rows<float>(c, b.dk, b.dv, kTile);
  if (!is_any) return;
  const int64_t kv_head = blockIdx.y, kv_column = kv_head * c.head, group = c.heads / c.kv_heads;

  float *keys = shared_floats(), *values = keys + kTileFloats<D>,
        *queries = values + kTileFloats<D>, *douts = queries + kTileFloats<D>;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int first = warp * kRows;
  float* slopes = douts + kTileFloats<D> + first * kTile;
  float* weights = slopes + kTile * kTile;
  const int64_t begin = span.first_key + k0, end = span.first_key + span.keys;
  load_tile<D>(keys, c.k, begin, end, kv_column, c.head);
  load_tile<D>(values, c.v, begin, end, kv_column, c.head);

  float dkeys[kRows][D / 32], dvalues[kRows][D / 32];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    for (float& s : dkeys[r]) s = 0;
    for (float& s : dvalues[r]) s = 0;
  }
  const bool is_idle = k0 + first >= span.keys;  // all rows of this warp
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t column = head * c.head;
    for (int64_t q0 = c.causal ? k0 : 0; q0 < span.queries; q0 += kTile) {
      const int64_t first_row = span.first_query + q0, last_row = span.first_query + span.queries;
      __syncthreads();
      load_tile<D>(queries, c.q, first_row, last_row, column, c.head);
      load_tile<D>(douts, b.dout, first_row, last_row, column, c.head);
      __syncthreads();
      const int64_t i = q0 + lane, row = first_row + lane;
      const float2 statistics = i < span.queries ? statistics_of(c, row, head) : float2{};
      const float delta = i < span.queries ? b.delta[row * c.heads + head] : 0.0f;
      const MaskRow bits = i < span.queries ? mask_of(c, head, row) : MaskRow{};
      if (is_idle) continue;
      float scores[kRows], dweights[kRows];
      products<D>(keys, first, queries, lane, scores);
      products<D>(values, first, douts, lane, dweights);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int64_t j = k0 + first + r;
        const bool is_there = is_pair(c, span, i, j);
        float score = scores[r], weight = 0, ds = 0;
        if (is_there) {
          if constexpr (kRelative) score += relative_score(c, head, row, span.first_key + j, i - j);
          const float p = weight_of(score * c.scale, statistics);
          const float factor = c.mask.rows ? factor_of(bits, j, c.mask) : 1.0f;
          weight = p * factor;
          ds = p * (dweights[r] * factor - delta) * c.scale;
        }
        slopes[r * kTile + lane] = ds;
        weights[r * kTile + lane] = weight;
        if constexpr (kRelative)
          if (c.relative.dp2c && j < span.keys) {
            const int where = is_there ? column_of(c, i - j) : -1;
            const int64_t key_row = head * c.key_rows + span.first_key + j;
            add_by_column(c.relative.dp2c + key_row * c.relative.count, where, ds, lane);
          }
      }
      __syncwarp();
      add_weighted<D>(slopes, queries, span.queries - q0, lane, dkeys);
      add_weighted<D>(weights, douts, span.queries - q0, lane, dvalues);
      __syncwarp();
    }
  }
  store_rows<D>(b.dk, begin, end, first, kv_column, c.head, lane, dkeys);
  store_rows<D>(b.dv, begin, end, first, kv_column, c.head, lane, dvalues);
}

template <class F>
void run(const AttentionBackwardCall& b, Stream stream) {
  const AttentionCall& c = b.forward;
  constexpr int D = F::width;
  const size_t bytes = (4 * kTileFloats<D> + kTile * kTile) * sizeof(float);
  launch("attention_backward, queries", query_kernel<D, F::is_relative>, query_grid(c, kTile),
         kAttentionThreads, bytes, stream, b);
  launch("attention_backward, keys", key_kernel<D, F::is_relative>, key_grid(c, kTile),
         kAttentionThreads, bytes + kTile * kTile * sizeof(float), stream, b);
}

}  // namespace

void attention_backward(const AttentionBackwardCall& call, Stream stream) {
  if (call.forward.sequences == 0) return;
  if (call.forward.element == Element::bf16) {
    attention_backward_bf16(call, stream);
    return;
  }
  with_form(call.forward, [&](auto form) { run<decltype(form)>(call, stream); });
}

}  // namespace mtlora::backend::cuda
