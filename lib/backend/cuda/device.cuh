// What the kernels share: element types, sums of a warp and of a block, dropout's bits.
#pragma once

#include <cuda_bf16.h>

#include "lib/backend/cuda/kernels.h"
#include "lib/backend/cuda/launch.cuh"
#include "lib/backend/dropout.h"

namespace mtlora::backend::cuda {

using Bf16 = __nv_bfloat16;

__device__ inline float widen(float x) {
  return x;
}
__device__ inline float widen(Bf16 x) {
  return __bfloat162float(x);
}

template <class T>
__device__ T narrow(float x);
template <>
__device__ inline float narrow<float>(float x) {
  return x;
}
template <>
__device__ inline Bf16 narrow<Bf16>(float x) {
  return __float2bfloat16_rn(x);
}

template <class T>
__device__ const T* row_of(const Matrix& m, int64_t row) {
  return static_cast<const T*>(m.data) + row * m.stride;
}
template <class T>
__device__ T* row_to(const Matrix& m, int64_t row) {
  return static_cast<T*>(m.data) + row * m.stride;
}

/// In a fixed order, the same in every lane.
__device__ inline float warp_sum(float x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
__device__ inline float warp_max(float x) {
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

/// The sum over all threads of a block of at most 1024, a multiple of 32; `room` holds 33 floats.
__device__ inline float block_sum(float x, float* room) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  x = warp_sum(x);
  __syncthreads();  // the room may still be read
  if (lane == 0) room[warp] = x;
  __syncthreads();
  if (warp == 0) {
    const float sum = warp_sum(lane < static_cast<int>(blockDim.x) / 32 ? room[lane] : 0.0f);
    if (lane == 0) room[32] = sum;
  }
  __syncthreads();
  return room[32];
}

/// A row [width] in shared memory that is to be normed.
struct NormedRow {
  const float* values;
  int64_t width;
  float mean;  ///< 0 for RMS

  /// 1 / its deviation around the mean; `room` as for block_sum.
  __device__ float rstd(float eps, float* room) const {
    float squares = 0;
    for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      const float value = values[i] - mean;
      squares += value * value;
    }
    return rsqrtf(block_sum(squares, room) / static_cast<float>(width) + eps);
  }
};

__device__ inline uint64_t key_of(const Mask& mask) {
  return mask.step_key ? combine(*mask.step_key, mask.key) : mask.key;
}

/// The factor of one channel of a row: 0, or what is kept is multiplied by.
__device__ inline float factor_of(MaskRow row, int64_t channel, const Mask& mask) {
  return mask_bits(row, static_cast<uint32_t>(channel)) >= mask.threshold ? mask.scale : 0.0f;
}

/// Calls f with a value of the element's type.
template <class F>
void with_element(Element element, F&& f) {
  if (element == Element::f32)
    f(float{});
  else
    f(Bf16{});
}

inline unsigned blocks_for(int64_t work, int64_t at_once) {
  return static_cast<unsigned>((work + at_once - 1) / at_once);
}

}  // namespace mtlora::backend::cuda
