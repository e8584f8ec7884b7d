// LayerNorm and RMS norm with what stands before them: a warp a row, which it keeps in its
// registers, where rows are short enough and lie at 16 bytes; else a block a row. Statistics are
// fp32.
#include "lib/backend/cuda/device.cuh"
#include "lib/backend/cuda/warp_row.cuh"

namespace mtlora::backend::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(32 * kWarps) warp_forward_kernel(NormCall c) {
  const int64_t row = row_of_warp(c.rows);
  if (row < 0) return;
  Part x{}, more{}, gamma{}, beta{};
  read_part(x, row_of<T>(c.x, row), c.width);
  if (c.residual.data) read_part(more, row_of<T>(c.residual, row), c.width);
  read_part(gamma, c.gamma, c.width);
  if (c.beta) read_part(beta, c.beta, c.width);
  MaskRow bits{};
  if (c.mask.rows) bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  for_pieces(c.width, [&](int p, int channel) {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      float& value = x.values[p][e];
      if (c.mask.rows) value *= factor_of(bits, channel + e, c.mask);
      value += more.values[p][e];
      // what goes on is the rounded sum, and so is what is normalised
      if (c.sum.data) value = widen(narrow<T>(value));
    }
  });
  if (c.sum.data) write_part(row_to<T>(c.sum, row), x, c.width);
  const auto width = static_cast<float>(c.width);
  const float mean =
      c.beta ? sum_of(c.width, [&](int p, int e) { return x.values[p][e]; }) / width : 0.0f;
  const float squares = sum_of(c.width, [&](int p, int e) {
    const float value = x.values[p][e] - mean;
    return value * value;
  });
  const float rstd = rsqrtf(squares / width + c.eps);
  if (c.rstd && threadIdx.x % 32 == 0) c.rstd[row] = rstd;
  for_pieces(c.width, [&](int p, int) {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const float value = (x.values[p][e] - mean) * rstd;
      x.values[p][e] = value;
      more.values[p][e] = value * gamma.values[p][e] + beta.values[p][e];
    }
  });
  if (c.normalized.data) write_part(row_to<T>(c.normalized, row), x, c.width);
  write_part(row_to<T>(c.y, row), more, c.width);
}

template <class T>
__global__ void __launch_bounds__(32 * kWarps) warp_backward_kernel(NormBackwardCall c) {
  const int64_t row = row_of_warp(c.rows);
  if (row < 0) return;
  Part g{}, more{}, gamma{}, normalized{}, dsum{};
  read_part(g, row_of<T>(c.dy, row), c.width);
  if (c.more_dy.data) read_part(more, row_of<T>(c.more_dy, row), c.width);
  read_part(gamma, c.gamma, c.width);
  read_part(normalized, row_of<T>(c.normalized, row), c.width);
  if (c.dsum.data) read_part(dsum, row_of<T>(c.dsum, row), c.width);
  const float rstd = c.rstd[row];
  MaskRow bits{};
  if (c.mask.rows) bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  for_pieces(c.width, [&](int p, int) {
#pragma unroll
    for (int e = 0; e < kEach; ++e)
      g.values[p][e] = (g.values[p][e] + more.values[p][e]) * gamma.values[p][e];
  });
  const auto width = static_cast<float>(c.width);
  const float mean =
      c.centred ? sum_of(c.width, [&](int p, int e) { return g.values[p][e]; }) / width : 0.0f;
  const float share =
      sum_of(c.width, [&](int p, int e) { return g.values[p][e] * normalized.values[p][e]; }) /
      width;
  for_pieces(c.width, [&](int p, int channel) {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      float& d = g.values[p][e];
      d = rstd * (d - mean - normalized.values[p][e] * share) + dsum.values[p][e];
      more.values[p][e] = c.mask.rows ? d * factor_of(bits, channel + e, c.mask) : d;
    }
  });
  write_part(row_to<T>(c.dresidual, row), g, c.width);
  if (c.dx.data) write_part(row_to<T>(c.dx, row), more, c.width);
}

template <class T>
bool suits_warps(const NormCall& c) {
  return rows_suit_warps<T>(c.width, {c.x, c.residual, c.y, c.sum, c.normalized},
                            {c.gamma, c.beta});
}
template <class T>
bool suits_warps(const NormBackwardCall& c) {
  return rows_suit_warps<T>(c.width, {c.dy, c.more_dy, c.dsum, c.normalized, c.dresidual, c.dx},
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
    if (suits_warps<T>(call))
      launch("norm_forward, a warp a row", warp_forward_kernel<T>, blocks_for(call.rows, kWarps),
             32 * kWarps, 0, stream, call);
    else
      launch("norm_forward", forward_kernel<T>, static_cast<unsigned>(call.rows), kThreads,
             static_cast<size_t>(call.width) * sizeof(float), stream, call);
  });
}

void norm_backward(const NormBackwardCall& call, Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    using T = decltype(element);
    if (suits_warps<T>(call))
      launch("norm_backward, a warp a row", warp_backward_kernel<T>, blocks_for(call.rows, kWarps),
             32 * kWarps, 0, stream, call);
    else
      launch("norm_backward", backward_kernel<T>, static_cast<unsigned>(call.rows), kThreads, 0,
             stream, call);
  });
}

}  // namespace mtlora::backend::cuda
