// LayerNorm and RMS norm with what stands before them, a block a row: in registers where rows are
// short enough and lie at 16 bytes, else in shared memory. Statistics are fp32.
#include "lib/backend/cuda/row_part.cuh"

namespace mtlora::backend::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kMostRowThreads) part_forward_kernel(NormCall c) {
  __shared__ float room[2][32];
  const int64_t row = blockIdx.x;
  Part x{}, residual{}, gamma{}, beta{};
  x.read(row_of<T>(c.x, row), c.width);
  if (c.residual.data) residual.read(row_of<T>(c.residual, row), c.width);
  gamma.read(c.gamma, c.width);
  if (c.beta) beta.read(c.beta, c.width);
  MaskRow bits{};
  if (c.mask.rows) bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  x.set([&](float value, int e) {
    if (c.mask.rows) value *= factor_of(bits, Part::first_channel() + e, c.mask);
    value += residual.values[e];
    // what goes on is the rounded sum, and so is what is normalised
    return c.sum.data ? widen(narrow<T>(value)) : value;
  });
  if (c.sum.data) x.write(row_to<T>(c.sum, row), c.width);
  const auto width = static_cast<float>(c.width);
  const float mean =
      c.beta ? x.sum(c.width, room[0], [](float value, int) { return value; }) / width : 0.0f;
  const float squares =
      x.sum(c.width, room[1], [&](float value, int) { return (value - mean) * (value - mean); });
  const float rstd = rsqrtf(squares / width + c.eps);
  if (c.rstd && threadIdx.x == 0) c.rstd[row] = rstd;
  x.set([&](float value, int) { return (value - mean) * rstd; });
  if (c.normalized.data) x.write(row_to<T>(c.normalized, row), c.width);
  x.set([&](float value, int e) { return value * gamma.values[e] + beta.values[e]; });
  x.write(row_to<T>(c.y, row), c.width);
}

// As backward_kernel.
template <class T>
__global__ void __launch_bounds__(kMostRowThreads) part_backward_kernel(NormBackwardCall c) {
  __shared__ float room[2][32];
  const int64_t row = blockIdx.x;
  Part g{}, more{}, gamma{}, normalized{}, dsum{};
  g.read(row_of<T>(c.dy, row), c.width);
  if (c.more_dy.data) more.read(row_of<T>(c.more_dy, row), c.width);
  gamma.read(c.gamma, c.width);
  normalized.read(row_of<T>(c.normalized, row), c.width);
  if (c.dsum.data) dsum.read(row_of<T>(c.dsum, row), c.width);
  const float rstd = c.rstd[row];
  MaskRow bits{};
  if (c.dx.data && c.mask.rows) bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  g.set([&](float dy, int e) { return (dy + more.values[e]) * gamma.values[e]; });
  const auto width = static_cast<float>(c.width);
  const float mean =
      c.centred ? g.sum(c.width, room[0], [](float value, int) { return value; }) / width : 0.0f;
  const float share = g.sum(c.width, room[1], [&](float value, int e) {
    return value * normalized.values[e];
  }) / width;
  g.set([&](float value, int e) {
    return rstd * (value - mean - normalized.values[e] * share) + dsum.values[e];
  });
  g.write(row_to<T>(c.dresidual, row), c.width);
  if (!c.dx.data) return;
  if (c.mask.rows)
    g.set([&](float d, int e) { return d * factor_of(bits, Part::first_channel() + e, c.mask); });
  g.write(row_to<T>(c.dx, row), c.width);
}

template <class T>
bool suits_parts(const NormCall& c) {
  return rows_suit_parts<T>(c.width, {c.x, c.residual, c.y, c.sum, c.normalized},
                            {c.gamma, c.beta});
}
template <class T>
bool suits_parts(const NormBackwardCall& c) {
  return rows_suit_parts<T>(c.width, {c.dy, c.more_dy, c.dsum, c.normalized, c.dresidual, c.dx},
                            {c.gamma});
}

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
    using T = decltype(element);
    const auto rows = static_cast<unsigned>(call.rows);
    if (suits_parts<T>(call))
      launch("norm_forward, in registers", part_forward_kernel<T>, rows, threads_for(call.width), 0,
             stream, call);
    else
      launch("norm_forward", forward_kernel<T>, rows, kThreads,
             static_cast<size_t>(call.width) * sizeof(float), stream, call);
  });
}

void norm_backward(const NormBackwardCall& call, Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    using T = decltype(element);
    const auto rows = static_cast<unsigned>(call.rows);
    if (suits_parts<T>(call))
      launch("norm_backward, in registers", part_backward_kernel<T>, rows, threads_for(call.width),
             0, stream, call);
    else
      launch("norm_backward", backward_kernel<T>, rows, kThreads, 0, stream, call);
  });
}

}  // namespace mtlora::backend::cuda
