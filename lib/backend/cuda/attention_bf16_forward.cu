// Attention's forward pass in bfloat16: as attention_forward.cu, by tensor cores.
#include "lib/backend/cuda/attention_relative.cuh"

namespace mtlora::backend::cuda {
namespace {

/// The running softmax of the two rows that a lane holds parts of.
struct Softmax {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
};

/// The scores of `count` keys become weights, and what was summed before is brought to the new
/// maximum.
template <int D>
__device__ void advance(Softmax& soft, Scores& scores, int count, Sums<D>& sums) {
  float largest[2] = {soft.largest[0], soft.largest[1]}, before[2], total[2] = {0, 0};
  for_scores(count, [&](int n, int e) { largest[e / 2] = fmaxf(largest[e / 2], scores[n][e]); });
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    largest[half] = quad_max(largest[half]);
    before[half] = expf(soft.largest[half] - largest[half]);
    soft.largest[half] = largest[half];
  }
  for_scores(count, [&](int n, int e) {
    scores[n][e] = expf(scores[n][e] - largest[e / 2]);
    total[e / 2] += scores[n][e];
  });
#pragma unroll
  for (int half = 0; half < 2; ++half)
    soft.sum[half] = soft.sum[half] * before[half] + quad_sum(total[half]);
  for (auto& block : sums)
    for (int e = 0; e < 4; ++e) block[e] *= before[e / 2];
}

// A block: 16 queries a warp of one head of one sequence. The block after the last sequence clears
// filler.
template <int D, bool kRelative>
__global__ void __launch_bounds__(32 * kMostWarps) forward_kernel(AttentionCall c) {
  const int block_rows = static_cast<int>(blockDim.x) / 32 * kWarpRows;
  const BlockRows block = query_rows<Bf16>(c, c.out, block_rows);
  if (!block.is_any) return;
  const Span& span = block.span;
  const Sizes sizes(c, span);
  const int64_t head = blockIdx.y, column = head * c.head, kv_column = kv_column_of(c, head);

  Bf16* queries = reinterpret_cast<Bf16*>(shared_floats());
  Bf16 *keys = queries + block_rows * kPitch<D>, *values = keys + kColumns * kPitch<D>;
  const int64_t end = span.first_query + span.queries;
  begin_loading<D>(queries, block_rows, c.q, span.first_query + block.begin, end, column, c.head);
  const int limit = static_cast<int>(keys_before(c, span, block.begin + block_rows));
  begin_keys<D>(keys, values, c, span, 0, limit, kv_column);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  queries += first * kPitch<D>;
  const int q0 = static_cast<int>(block.begin) + first;  // the warp's first query
  const int64_t begin = span.first_query + q0;

  Softmax soft;
  Sums<D> sums{};
  MaskRow bits[2]{};
  for (int half = 0; half < 2; ++half) {
    const int64_t row = begin + row_at(lane, 2 * half);
    if (row < end) bits[half] = mask_of(c, head, row);
  }

  const bool is_idle = q0 >= sizes.queries;
  for (int k0 = 0; k0 < limit; k0 += kColumns) {
    if (k0 > 0) {
      __syncthreads();
      begin_keys<D>(keys, values, c, span, k0, limit, kv_column);
    }
    loaded();
    if (is_idle) continue;
    const int count = limit - k0;
    const auto pair_of_score = [&](int n, int e) {
      return Pair{q0 + row_at(lane, e), k0 + column_at(lane, n, e)};
    };
    Scores scores;
    products<D>(queries, keys, count, lane, scores);
    if constexpr (kRelative) add_relative(scores, c, head, span, count, pair_of_score);
    for_scores(count, [&](int n, int e) {
      const Pair pair = pair_of_score(n, e);
      const bool is_there = pair.key < sizes.keys && (!c.causal || pair.key <= pair.query);
      scores[n][e] = is_there ? scores[n][e] * c.scale : -INFINITY;
    });
    advance<D>(soft, scores, count, sums);
    if (c.mask.rows)
      for_scores(count, [&](int n, int e) {
        scores[n][e] *= factor_of(bits[e / 2], pair_of_score(n, e).key, c.mask);
      });
    add_weighted<D>(scores, values, count, lane, sums);
  }
  if (is_idle) return;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float share = 1.0f / soft.sum[half];
    for (auto& block_sums : sums)
      for (int e = 2 * half; e < 2 * half + 2; ++e) block_sums[e] *= share;
    const int64_t row = begin + row_at(lane, 2 * half);
    if (lane % 4 == 0 && row < end) statistics_of(c, row, head) = float2{soft.largest[half], share};
  }
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
