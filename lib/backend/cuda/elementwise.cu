// Dropout, its masks, SwiGLU, rotary positions and matrices out of blocks: one thread an element
// (or a pair).
#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void dropout_kernel(DropoutCall c) {
  const int64_t row = blockIdx.x;
  const MaskRow bits = mask_row(key_of(c.mask), c.mask.rows[row]);
  const T* x = row_of<T>(c.x, row);
  T* y = row_to<T>(c.y, row);
  for (int64_t i = threadIdx.x; i < c.columns; i += blockDim.x) {
    const float value = widen(x[i]) * factor_of(bits, i, c.mask);
    y[i] = narrow<T>(c.accumulate ? widen(y[i]) + value : value);
  }
}

__global__ void mask_kernel(Mask mask, int64_t columns, bool by_head, float* factors) {
  const int64_t row = blockIdx.x, head = blockIdx.y;
  const uint64_t key = by_head ? head_key(key_of(mask), head) : key_of(mask);
  const MaskRow bits = mask_row(key, mask.rows[row]);
  float* out = factors + (head * gridDim.x + row) * columns;
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) out[i] = factor_of(bits, i, mask);
}

__device__ inline float value_at(const Blocks& blocks, int64_t row, int64_t column) {
  for (int i = 0; i < blocks.count; ++i) {
    const Blocks::Block& b = blocks.block[i];
    const int64_t r = row - b.row, c = column - b.column;
    if (r >= 0 && r < b.rows && c >= 0 && c < b.columns)
      return b.data[r * b.row_stride + c * b.column_stride];
  }
  return 0.0f;
}

template <class T>
__device__ inline void place(const Blocks& blocks, int64_t i) {
  if (i >= blocks.rows * blocks.columns) return;
  // not as 64 bits, which a device divides slowly
  const auto row = static_cast<uint32_t>(i) / static_cast<uint32_t>(blocks.columns);
  const auto column = static_cast<uint32_t>(i) % static_cast<uint32_t>(blocks.columns);
  row_to<T>(blocks.whole, row)[column] = narrow<T>(value_at(blocks, row, column));
}

// Arguments that are looked up by an index: without __grid_constant__ every thread has a copy.
template <class T>
__global__ void blocks_kernel(const __grid_constant__ Blocks first,
                              const __grid_constant__ Blocks second) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t in_first = first.rows * first.columns;
  if (i < in_first)
    place<T>(first, i);
  else
    place<T>(second, i - in_first);
}

template <class T>
__global__ void swiglu_kernel(Matrix gate_up, Matrix y, int64_t inner) {
  const T* x = row_of<T>(gate_up, blockIdx.x);
  T* out = row_to<T>(y, blockIdx.x);
  for (int64_t i = threadIdx.x; i < inner; i += blockDim.x) {
    const float gate = widen(x[i]);
    out[i] = narrow<T>(gate / (1.0f + expf(-gate)) * widen(x[inner + i]));
  }
}

template <class T>
__global__ void swiglu_backward_kernel(Matrix gate_up, Matrix dy, Matrix dx, int64_t inner) {
  const T *x = row_of<T>(gate_up, blockIdx.x), *d = row_of<T>(dy, blockIdx.x);
  T* out = row_to<T>(dx, blockIdx.x);
  for (int64_t i = threadIdx.x; i < inner; i += blockDim.x) {
    const float gate = widen(x[i]), up = widen(x[inner + i]), g = widen(d[i]);
    const float sigmoid = 1.0f / (1.0f + expf(-gate)), silu = gate * sigmoid;
    out[i] = narrow<T>(g * up * (sigmoid + silu * (1.0f - sigmoid)));
    out[inner + i] = narrow<T>(g * silu);
  }
}

template <class T>
__global__ void rotate_kernel(RotateCall c) {
  const T* x = row_of<T>(c.x, blockIdx.x);
  T* y = row_to<T>(c.y, blockIdx.x);
  const int64_t pairs = c.rotated_heads * c.half, position = c.positions[blockIdx.x];
  const float *cos = c.cos + position * c.half, *sin = c.sin + position * c.half;
  for (int64_t p = threadIdx.x; p < pairs; p += blockDim.x) {
    const int64_t i = p % c.half, low = p / c.half * 2 * c.half + i, high = low + c.half;
    const float a = widen(x[low]), b = widen(x[high]), s = c.backwards ? -sin[i] : sin[i];
    y[low] = narrow<T>(a * cos[i] - b * s);
    y[high] = narrow<T>(b * cos[i] + a * s);
  }
  for (int64_t i = 2 * pairs + threadIdx.x; i < c.columns; i += blockDim.x) y[i] = x[i];
}

}  // namespace

void dropout(const DropoutCall& call, Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    launch("dropout", dropout_kernel<decltype(element)>, static_cast<unsigned>(call.rows), kThreads,
           0, stream, call);
  });
}

void place_blocks(Element element, const Blocks& first, const Blocks& second, Stream stream) {
  const int64_t count = first.rows * first.columns + second.rows * second.columns;
  if (count == 0) return;
  with_element(element, [&](auto e) {
    launch("place_blocks", blocks_kernel<decltype(e)>, blocks_for(count, kThreads), kThreads, 0,
           stream, first, second);
  });
}

void mask_factors(const Mask& mask, int64_t heads, int64_t rows, int64_t columns, bool by_head,
                  float* factors, Stream stream) {
  if (rows == 0 || columns == 0) return;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(heads));
  launch("mask_factors", mask_kernel, grid, kThreads, 0, stream, mask, columns, by_head, factors);
}

void swiglu_forward(Element element, Matrix gate_up, Matrix y, int64_t rows, int64_t inner,
                    Stream stream) {
  if (rows == 0) return;
  with_element(element, [&](auto e) {
    launch("swiglu_forward", swiglu_kernel<decltype(e)>, static_cast<unsigned>(rows), kThreads, 0,
           stream, gate_up, y, inner);
  });
}

void swiglu_backward(Element element, Matrix gate_up, Matrix dy, Matrix dx, int64_t rows,
                     int64_t inner, Stream stream) {
  if (rows == 0) return;
  with_element(element, [&](auto e) {
    launch("swiglu_backward", swiglu_backward_kernel<decltype(e)>, static_cast<unsigned>(rows),
           kThreads, 0, stream, gate_up, dy, dx, inner);
  });
}

void rotate(const RotateCall& call, Stream stream) {
  if (call.rows == 0) return;
  with_element(call.element, [&](auto element) {
    launch("rotate", rotate_kernel<decltype(element)>, static_cast<unsigned>(call.rows), kThreads,
           0, stream, call);
  });
}

}  // namespace mtlora::backend::cuda
