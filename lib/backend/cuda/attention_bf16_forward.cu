// Attention's forward pass in bfloat16: as attention_forward.cu, by tensor cores.
#include "lib/backend/cuda/attention_matrix.cuh"

namespace mtlora::backend::cuda {
namespace {

/// The running softmax of the two rows that a lane holds parts of.
struct Softmax {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
};

/// Scores become weights, and what was summed before is brought to the new maximum.
template <int D>
__device__ void advance(Softmax& soft, Scores& scores, Sums<D>& sums) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = soft.largest[half];
    for (const auto& block : scores)
      largest = fmaxf(largest, fmaxf(block[2 * half], block[2 * half + 1]));
    largest = quad_max(largest);
    const float before = expf(soft.largest[half] - largest);
    float total = 0;
    for (auto& block : scores)
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        block[e] = expf(block[e] - largest);
        total += block[e];
      }
    soft.sum[half] = soft.sum[half] * before + quad_sum(total);
    soft.largest[half] = largest;
    for (auto& block : sums)
      for (int e = 2 * half; e < 2 * half + 2; ++e) block[e] *= before;
  }
}

// A block: 16 queries a warp of one head of one sequence. The block after the last sequence clears
// filler.
template <int D, bool kRelative>
__global__ void __launch_bounds__(32 * kMostWarps) forward_kernel(AttentionCall c) {
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const auto [span, block_begin, is_any] = query_rows<Bf16>(c, c.out, block_rows);
  if (!is_any) return;
  const int64_t head = blockIdx.y, column = head * c.head, kv_column = kv_column_of(c, head);

  Bf16* queries = reinterpret_cast<Bf16*>(shared_floats());
  Bf16 *keys = queries + block_rows * kPitch<D>, *values = keys + kColumns * kPitch<D>;
  begin_loading<D>(queries, block_rows, c.q, span.first_query + block_begin,
                   span.first_query + span.queries, column, c.head);
  const int64_t limit = keys_before(c, span, block_begin + block_rows);
  const auto begin_tile = [&](int64_t k0) {
    const int64_t begin = span.first_key + k0, end = span.first_key + span.keys;
    begin_loading<D>(keys, rows_read(limit - k0), c.k, begin, end, kv_column, c.head);
    begin_loading<D>(values, rows_read(limit - k0), c.v, begin, end, kv_column, c.head);
  };
  begin_tile(0);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  queries += first * kPitch<D>;
  const int64_t q0 = block_begin + first;  // the warp's first query

  Softmax soft;
  Sums<D> sums{};
  MaskRow bits[2]{};
  for (int half = 0; half < 2; ++half) {
    const int64_t i = q0 + row_at(lane, 2 * half);
    if (i < span.queries) bits[half] = mask_of(c, head, span.first_query + i);
  }

  const bool is_idle = q0 >= span.queries;
  for (int64_t k0 = 0; k0 < limit; k0 += kColumns) {
    if (k0 > 0) {
      __syncthreads();
      begin_tile(k0);
    }
    loaded();
    if (is_idle) continue;
    Scores scores;
    products<D>(queries, keys, limit - k0, lane, scores);
    if constexpr (kRelative)
      add_relative(scores, c, head, span, limit - k0, [&](int n, int e) {
        return Pair{q0 + row_at(lane, e), k0 + column_at(lane, n, e)};
      });
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t i = q0 + row_at(lane, e), j = k0 + column_at(lane, n, e);
        const bool is_there = j < span.keys && (!c.causal || j <= i);
        scores[n][e] = is_there ? scores[n][e] * c.scale : -INFINITY;
      }
    advance<D>(soft, scores, sums);
    if (c.mask.rows)
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          scores[n][e] *= factor_of(bits[e / 2], k0 + column_at(lane, n, e), c.mask);
    add_weighted<D>(scores, values, limit - k0, lane, sums);
  }
  if (is_idle) return;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float share = 1.0f / soft.sum[half];
    for (auto& block : sums)
      for (int e = 2 * half; e < 2 * half + 2; ++e) block[e] *= share;
    const int64_t i = q0 + row_at(lane, 2 * half);
    if (lane % 4 == 0 && i < span.queries)
      statistics_of(c, span.first_query + i, head) = float2{soft.largest[half], share};
  }
  const int64_t begin = span.first_query + q0, end = span.first_query + span.queries;
  if (c.wide)
    store_rows<float, D>({c.wide, c.heads * c.head}, begin, end, column, c.head, lane, sums);
  store_rows<Bf16, D>(c.out, begin, end, column, c.head, lane, sums);
}

}  // namespace

void attention_forward_bf16(const AttentionCall& call, Stream stream) {
  with_form(call, [&](auto form) {
    using F = decltype(form);
    const int warps = call.pooled ? 1 : warps_for(call.longest), rows = warps * kWarpRows;
    launch("attention_forward, bf16", forward_kernel<F::width, F::is_relative>,
           query_grid(call, rows), 32 * warps,
           static_cast<size_t>(rows + 2 * kColumns) * kPitch<F::width> * sizeof(Bf16), stream,
           call);
  });
}

}  // namespace mtlora::backend::cuda
