// The two ends of a model: embeddings with their norm and dropout, a block a row; and the
// cross-entropy of a classifier, a thread a row.
#include <cmath>

#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void embed_kernel(const __grid_constant__ EmbedCall c) {
  float* row_memory = shared_floats();  // [width]
  __shared__ float room[33];
  const int64_t row = blockIdx.x;
  const T* from[EmbedCall::kMost];
#pragma unroll
  for (int t = 0; t < EmbedCall::kMost; ++t)
    from[t] =
        t < c.count ? row_of<T>(c.from[t].table, c.from[t].rows[row] + c.from[t].first) : nullptr;
  float total = 0;
  for (int64_t i = threadIdx.x; i < c.width; i += blockDim.x) {
    float value = 0;
#pragma unroll
    for (int t = 0; t < EmbedCall::kMost; ++t)
      if (from[t]) value += widen(from[t][i]);
    row_memory[i] = value;
    total += value;
  }
  const float mean = block_sum(total, room) / static_cast<float>(c.width);
  const float rstd = NormedRow{row_memory, c.width, mean}.rstd(c.eps, room);
  MaskRow bits{};
  if (c.mask.rows) bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  T* y = row_to<T>(c.y, row);
  for (int64_t i = threadIdx.x; i < c.width; i += blockDim.x) {
    const float value = (row_memory[i] - mean) * rstd * c.gamma[i] + c.beta[i];
    y[i] = narrow<T>(c.mask.rows ? value * factor_of(bits, i, c.mask) : value);
  }
}

/// log p of a row's classes: (x - largest) - log(1 + what the others add), so that neither a large
/// logit nor a sure answer costs digits.
template <class T>
struct LogSoftmax {
  const T* x;
  float largest = 0, rest = 0;

  __device__ LogSoftmax(const T* logits, int64_t classes) : x(logits) {
    int64_t first = 0;
    for (int64_t i = 1; i < classes; ++i)
      if (widen(x[i]) > widen(x[first])) first = i;
    largest = widen(x[first]);
    float others = 0;
    for (int64_t i = 0; i < classes; ++i)
      if (i != first) others += expf(widen(x[i]) - largest);
    rest = log1pf(others);
  }
  __device__ float operator[](int64_t i) const { return widen(x[i]) - largest - rest; }
};

// One block: the sum has one order.
template <class T>
__global__ void cross_entropy_kernel(CrossEntropyCall c, float* loss) {
  __shared__ float room[33];
  const float every = c.smoothing / static_cast<float>(c.classes);
  float total = 0;
  for (int64_t row = threadIdx.x; row < c.rows; row += blockDim.x) {
    const LogSoftmax<T> log_p(row_of<T>(c.logits, row), c.classes);
    float all = 0;
    if (c.smoothing > 0)
      for (int64_t i = 0; i < c.classes; ++i) all += log_p[i];
    const int64_t label = c.labels[row];
    if (label < 0 || label >= c.classes)
      total = NAN;  // the step is found not to be finite
    else
      total -= (1 - c.smoothing) * log_p[label] + every * all;
  }
  total = block_sum(total, room);
  if (threadIdx.x == 0) *loss = total;
}

// d loss / d logit = p - (1 - ε) [it is the label's] - ε / classes; p - 1 without cancellation
template <class T>
__global__ void cross_entropy_backward_kernel(CrossEntropyCall c, const float* slope, Matrix dx) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= c.rows) return;
  const LogSoftmax<T> log_p(row_of<T>(c.logits, row), c.classes);
  const float every = c.smoothing / static_cast<float>(c.classes);
  T* d = row_to<T>(dx, row);
  for (int64_t i = 0; i < c.classes; ++i) {
    const float of_class = i == c.labels[row] ? expm1f(log_p[i]) + c.smoothing : expf(log_p[i]);
    d[i] = narrow<T>(*slope * (of_class - every));
  }
}

}  // namespace

void embed(const EmbedCall& call, Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    launch("embed", embed_kernel<decltype(element)>, static_cast<unsigned>(call.rows), kThreads,
           static_cast<size_t>(call.width) * sizeof(float), stream, call);
  });
}

void cross_entropy(const CrossEntropyCall& call, float* loss, Stream stream) {
  with_element(call.element, [&](auto element) {
    launch("cross_entropy", cross_entropy_kernel<decltype(element)>, 1, kThreads, 0, stream, call,
           loss);
  });
}

void cross_entropy_backward(const CrossEntropyCall& call, const float* slope, Matrix dx,
                            Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    launch("cross_entropy_backward", cross_entropy_backward_kernel<decltype(element)>,
           blocks_for(call.rows, kThreads), kThreads, 0, stream, call, slope, dx);
  });
}

}  // namespace mtlora::backend::cuda
