// A row in the registers of one block, eight neighbouring channels a thread: what is read is asked
// for at once, and threads wait for each other in sums alone.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {

constexpr int kEach = 8;  // neighbours that a thread reads and writes together
constexpr int kMostRowThreads = 512;
constexpr int kWidestRow = kMostRowThreads * kEach;

/// Threads of a block for rows of `width` channels.
inline int threads_for(int64_t width) {
  return static_cast<int>(blocks_for(width, 32 * kEach)) * 32;
}

/// Eight values beside each other, at 16 bytes.
template <class T>
struct alignas(16) Eight {
  T values[kEach];
};

/// A thread's part of a row whose width is a multiple of 8; 0 behind the row.
struct Part {
  float values[kEach];

  __device__ static int first_channel() { return static_cast<int>(threadIdx.x) * kEach; }

  template <class T>
  __device__ void read(const T* row, int64_t width) {
    if (first_channel() >= width) return;
    const auto eight = *reinterpret_cast<const Eight<T>*>(row + first_channel());
#pragma unroll
    for (int e = 0; e < kEach; ++e) values[e] = widen(eight.values[e]);
  }

  template <class T>
  __device__ void write(T* row, int64_t width) const {
    if (first_channel() >= width) return;
    Eight<T> eight;
#pragma unroll
    for (int e = 0; e < kEach; ++e) eight.values[e] = narrow<T>(values[e]);
    *reinterpret_cast<Eight<T>*>(row + first_channel()) = eight;
  }

  /// Sets each value to f(it, its index here).
  template <class F>
  __device__ void set(F&& f) {
#pragma unroll
    for (int e = 0; e < kEach; ++e) values[e] = f(values[e], e);
  }

  /// Σ f(value, index) of the block's row; `room` [32] is for this sum alone.
  template <class F>
  __device__ float sum(int64_t width, float* room, F&& f) const {
    float mine = 0;
    if (first_channel() < width)
#pragma unroll
      for (int e = 0; e < kEach; ++e) mine += f(values[e], e);
    mine = warp_sum(mine);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    if (lane == 0) room[warp] = mine;
    __syncthreads();
    return warp_sum(lane < static_cast<int>(blockDim.x) / 32 ? room[lane] : 0.0f);
  }
};

/// Whether blocks can have rows of so many channels of these matrices in parts, with vectors beside
/// them; what is null is none.
template <class T>
bool rows_suit_parts(int64_t width, std::initializer_list<Matrix> matrices,
                     std::initializer_list<const float*> vectors) {
  const auto is_at_16 = [](const void* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; };
  const auto suits = [&](const Matrix& m) {
    return is_at_16(m.data) && m.stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
  };
  return width <= kWidestRow && width % kEach == 0 &&
         std::all_of(matrices.begin(), matrices.end(), suits) &&
         std::all_of(vectors.begin(), vectors.end(), is_at_16);
}

}  // namespace mtlora::backend::cuda
