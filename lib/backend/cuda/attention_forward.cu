// Attention's forward pass in fp32: softmax over tiles of keys with a running maximum and sum
// (Milakov & Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135).
#include "lib/backend/cuda/attention_tile.cuh"

namespace mtlora::backend::cuda {
namespace {

/// The running softmax of a warp's rows.
struct Softmax {
  float largest[kRows], sum[kRows];
};

// A block: 32 queries of one head of one sequence. The block after the last sequence clears filler.
template <int D, bool kRelative>
__global__ void __launch_bounds__(kAttentionThreads) forward_kernel(AttentionCall c) {
  const auto [span, q0, is_any] = query_rows<float>(c, c.out, kTile);
  if (!is_any) return;
  const int64_t head = blockIdx.y, column = head * c.head, kv_column = kv_column_of(c, head);

  float *queries = shared_floats(), *keys = queries + kTileFloats<D>,
        *values = keys + kTileFloats<D>;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int first = warp * kRows;
  float* weights = values + kTileFloats<D> + first * kTile;
  load_tile<D>(queries, c.q, span.first_query + q0, span.first_query + span.queries, column,
               c.head);

  Softmax soft;
  MaskRow bits[kRows];
  float sums[kRows][D / 32];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    soft.largest[r] = -INFINITY;
    soft.sum[r] = 0;
    for (float& s : sums[r]) s = 0;
    const int64_t place = q0 + first + r;
    if (place < span.queries) bits[r] = mask_of(c, head, span.first_query + place);
  }

  const bool is_idle = q0 + first >= span.queries;  // all rows of this warp
  const int64_t limit = keys_before(c, span, q0 + kTile);
  for (int64_t k0 = 0; k0 < limit; k0 += kTile) {
    __syncthreads();
    const int64_t begin = span.first_key + k0, end = span.first_key + span.keys;
    load_tile<D>(keys, c.k, begin, end, kv_column, c.head);
    load_tile<D>(values, c.v, begin, end, kv_column, c.head);
    __syncthreads();
    if (is_idle) continue;
    float scores[kRows];
    products<D>(queries, first, keys, lane, scores);
    const int64_t j = k0 + lane;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t i = q0 + first + r;
      float score = scores[r];
      if constexpr (kRelative)
        if (i < span.queries && j < span.keys)
          score += relative_score(c, head, span.first_query + i, span.first_key + j, i - j);
      score = j < span.keys && (!c.causal || j <= i) ? score * c.scale : -INFINITY;
      const float largest = fmaxf(soft.largest[r], warp_max(score));
      const float before = expf(soft.largest[r] - largest);
      float p = expf(score - largest);
      soft.sum[r] = soft.sum[r] * before + warp_sum(p);
      soft.largest[r] = largest;
      for (float& s : sums[r]) s *= before;
      if (c.mask.rows) p = i < span.queries ? p * factor_of(bits[r], j, c.mask) : 0.0f;
      weights[r * kTile + lane] = p;
    }
    __syncwarp();
    add_weighted<D>(weights, values, limit - k0, lane, sums);
    __syncwarp();
  }
  if (is_idle) return;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float share = 1.0f / soft.sum[r];
    for (float& s : sums[r]) s *= share;
    const int64_t i = q0 + first + r;
    if (lane == 0 && i < span.queries)
      statistics_of(c, span.first_query + i, head) = float2{soft.largest[r], share};
  }
  store_rows<D>(c.out, span.first_query + q0, span.first_query + span.queries, first, column,
                c.head, lane, sums);
}

}  // namespace

void attention_forward(const AttentionCall& call, Stream stream) {
  if (call.sequences == 0) return;
  if (call.element == Element::bf16) {
    attention_forward_bf16(call, stream);
    return;
  }
  with_form(call, [&](auto form) {
    using F = decltype(form);
    launch("attention_forward", forward_kernel<F::width, F::is_relative>, query_grid(call, kTile),
           kAttentionThreads, (3 * kTileFloats<F::width> + kTile * kTile) * sizeof(float), stream,
           call);
  });
}

}  // namespace mtlora::backend::cuda
