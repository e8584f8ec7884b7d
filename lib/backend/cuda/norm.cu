// LayerNorm and RMS norm with what stands before them, a block a row. Statistics are fp32.
#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void forward_kernel(NormCall c) {
  float* row_memory = shared_floats();  // [width]
  __shared__ float room[33];
  const int64_t row = blockIdx.x;
  const T* x = row_of<T>(c.x, row);
  const T* residual = c.residual.data ? row_of<T>(c.residual, row) : nullptr;
  MaskRow bits{};
  if (c.mask.rows) bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  float total = 0;
  for (int64_t i = threadIdx.x; i < c.width; i += blockDim.x) {
    float value = widen(x[i]);
    if (c.mask.rows) value *= factor_of(bits, i, c.mask);
    if (residual) value += widen(residual[i]);
    if (c.sum.data) {  // what goes on is the rounded sum, and so is what is normalised
      const T rounded = narrow<T>(value);
      row_to<T>(c.sum, row)[i] = rounded;
      value = widen(rounded);
    }
    row_memory[i] = value;
    total += value;
  }
  const float mean = c.beta ? block_sum(total, room) / static_cast<float>(c.width) : 0.0f;
  const float rstd = NormedRow{row_memory, c.width, mean}.rstd(c.eps, room);
  if (c.rstd && threadIdx.x == 0) c.rstd[row] = rstd;
  T* y = row_to<T>(c.y, row);
  T* normalized = c.normalized.data ? row_to<T>(c.normalized, row) : nullptr;
  for (int64_t i = threadIdx.x; i < c.width; i += blockDim.x) {
    const float value = (row_memory[i] - mean) * rstd;
    if (normalized) normalized[i] = narrow<T>(value);
    y[i] = narrow<T>(value * c.gamma[i] + (c.beta ? c.beta[i] : 0.0f));
  }
}

/// A row of the gradient of y, where two readers of y have one each.
template <class T>
struct GradientRow {
  const T *one, *more;  // more null: one alone
  __device__ float operator[](int64_t i) const {
    return more ? widen(one[i]) + widen(more[i]) : widen(one[i]);
  }
};

// d sum = rstd · (g - mean(g) - n · mean(g · n)), g = dy · gamma, n the normalised row; without
// mean(g) for RMS.
template <class T>
__global__ void backward_kernel(NormBackwardCall c) {
  __shared__ float room[33];
  const int64_t row = blockIdx.x;
  const GradientRow<T> dy{row_of<T>(c.dy, row),
                          c.more_dy.data ? row_of<T>(c.more_dy, row) : nullptr};
  const T* normalized = row_of<T>(c.normalized, row);
  const T* dsum = c.dsum.data ? row_of<T>(c.dsum, row) : nullptr;
  float total = 0, along = 0;
  for (int64_t i = threadIdx.x; i < c.width; i += blockDim.x) {
    const float g = dy[i] * c.gamma[i];
    total += g;
    along += g * widen(normalized[i]);
  }
  const auto width = static_cast<float>(c.width);
  const float mean = c.centred ? block_sum(total, room) / width : 0.0f;
  const float share = block_sum(along, room) / width, rstd = c.rstd[row];
  MaskRow bits{};
  if (c.mask.rows) bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  T* dresidual = row_to<T>(c.dresidual, row);
  T* dx = c.dx.data ? row_to<T>(c.dx, row) : nullptr;
  for (int64_t i = threadIdx.x; i < c.width; i += blockDim.x) {
    float d = rstd * (dy[i] * c.gamma[i] - mean - widen(normalized[i]) * share);
    if (dsum) d += widen(dsum[i]);
    dresidual[i] = narrow<T>(d);
    if (dx) dx[i] = narrow<T>(c.mask.rows ? d * factor_of(bits, i, c.mask) : d);
  }
}

}  // namespace

void norm_forward(const NormCall& call, Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    launch("norm_forward", forward_kernel<decltype(element)>, static_cast<unsigned>(call.rows),
           kThreads, static_cast<size_t>(call.width) * sizeof(float), stream, call);
  });
}

void norm_backward(const NormBackwardCall& call, Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    launch("norm_backward", backward_kernel<decltype(element)>, static_cast<unsigned>(call.rows),
           kThreads, 0, stream, call);
  });
}

}  // namespace mtlora::backend::cuda
