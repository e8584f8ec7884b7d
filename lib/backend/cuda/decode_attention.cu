// Attention of one new token a row, over its prompt's keys and over its own past, which is found
// through the table of ancestors. A block: one head of one row.
#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarpsOfBlock = kThreads / 32;

/// The keys (or, `values` columns further, the values) of place k of a row.
template <class T>
__device__ const T* keys_at(const DecodeCall& c, int64_t row, int64_t begin, int64_t prompt,
                            int64_t k) {
  if (k < prompt) return row_of<T>(c.prompt_kv, begin + k);
  const int64_t step = k - prompt, at = c.ancestry[row * c.max_steps + step];
  return static_cast<const T*>(c.step_kv) + step * c.step_stride + at * c.step_row_stride;
}

template <class T>
__global__ void __launch_bounds__(kThreads) decode_kernel(DecodeCall c) {
  __shared__ float room[33];
  const int64_t row = blockIdx.x, head = blockIdx.y;
  const int64_t kv_head = head / (c.heads / c.kv_heads), kv_width = c.kv_heads * c.head;
  const int32_t prompt_index = c.prompt_of_row[row];
  const int64_t begin = c.prompt_offsets[prompt_index];
  const int64_t prompt = c.prompt_offsets[prompt_index + 1] - begin, keys = prompt + c.steps;
  // the query [head], partial sums [kThreads], scores [keys]
  float *query = shared_floats(), *partial = query + c.head, *scores = partial + kThreads;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;

  for (int64_t i = thread; i < c.head; i += kThreads)
    query[i] = widen(row_of<T>(c.q, row)[head * c.head + i]) * c.scale;
  __syncthreads();
  for (int64_t k = warp; k < keys; k += kWarpsOfBlock) {
    const T* key = keys_at<T>(c, row, begin, prompt, k) + kv_head * c.head;
    float sum = 0;
    for (int64_t i = lane; i < c.head; i += 32) sum += query[i] * widen(key[i]);
    sum = warp_sum(sum);
    if (lane == 0) scores[k] = sum;
  }
  __syncthreads();

  float largest = -INFINITY;
  for (int64_t k = thread; k < keys; k += kThreads) largest = fmaxf(largest, scores[k]);
  largest = warp_max(largest);
  if (lane == 0) room[warp] = largest;
  __syncthreads();
  for (int w = 0; w < kWarpsOfBlock; ++w) largest = fmaxf(largest, room[w]);
  float total = 0;
  for (int64_t k = thread; k < keys; k += kThreads) {
    scores[k] = expf(scores[k] - largest);
    total += scores[k];
  }
  total = block_sum(total, room);  // and all scores are written

  // Threads that have the same channel share the keys among them.
  const int64_t sharing = kThreads / c.head > 0 ? kThreads / c.head : 1;
  const int64_t channel = thread % c.head, share = thread / c.head;
  float sum = 0;
  if (share < sharing)
    for (int64_t k = share; k < keys; k += sharing)
      sum += scores[k] *
             widen(keys_at<T>(c, row, begin, prompt, k)[kv_width + kv_head * c.head + channel]);
  partial[thread] = sum;
  __syncthreads();
  if (share > 0) return;
  for (int64_t s = 1; s < sharing; ++s) sum += partial[s * c.head + channel];
  row_to<T>(c.out, row)[head * c.head + channel] = narrow<T>(sum / total);
}

}  // namespace

void decode_attention(const DecodeCall& call, Stream stream) {
  if (call.rows == 0) return;
  const size_t bytes =
      static_cast<size_t>(call.head + kThreads + call.longest + call.steps) * sizeof(float);
  with_element(call.element, [&](auto element) {
    const dim3 grid(static_cast<unsigned>(call.rows), static_cast<unsigned>(call.heads));
    launch("decode_attention", decode_kernel<decltype(element)>, grid, kThreads, bytes, stream,
           call);
  });
}

}  // namespace mtlora::backend::cuda
