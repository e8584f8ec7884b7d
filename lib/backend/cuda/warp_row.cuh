// A row in the registers of one warp: no lane waits for another but in a sum, and what is read,
// neighbours together, is asked for at once.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {

constexpr int kEach = 8;           // neighbours that a lane reads and writes together
constexpr int kMostPieces = 4;     // so many times, at most
constexpr int kStep = 32 * kEach;  // of a warp's channels from a piece to the next
constexpr int kWidestWarp = kMostPieces * kStep;
constexpr int kWarps = 4;  // rows of a block

/// Eight values beside each other, at 16 bytes.
template <class T>
struct alignas(16) Eight {
  T values[kEach];
};

/// A lane's part of a row of `width` channels, a multiple of 8: piece p is the channels from
/// 256 p + 8 lane on. What is behind the row is 0.
struct Part {
  float values[kMostPieces][kEach];
};

/// f(piece, its first channel) of the pieces that are in the row.
template <class F>
__device__ void for_pieces(int64_t width, F&& f) {
  const int first = static_cast<int>(threadIdx.x) % 32 * kEach;
#pragma unroll
  for (int p = 0; p < kMostPieces; ++p)
    if (p * kStep + first < width) f(p, p * kStep + first);
}

template <class T>
__device__ void read_part(Part& part, const T* row, int64_t width) {
  for_pieces(width, [&](int p, int channel) {
    const Eight<T> eight = *reinterpret_cast<const Eight<T>*>(row + channel);
#pragma unroll
    for (int e = 0; e < kEach; ++e) part.values[p][e] = widen(eight.values[e]);
  });
}

template <class T>
__device__ void write_part(T* row, const Part& part, int64_t width) {
  for_pieces(width, [&](int p, int channel) {
    Eight<T> eight;
#pragma unroll
    for (int e = 0; e < kEach; ++e) eight.values[e] = narrow<T>(part.values[p][e]);
    *reinterpret_cast<Eight<T>*>(row + channel) = eight;
  });
}

/// Σ f(value, piece, element) over a warp's row.
template <class F>
__device__ float sum_of(int64_t width, F&& f) {
  float sum = 0;
  for_pieces(width, [&](int p, int) {
#pragma unroll
    for (int e = 0; e < kEach; ++e) sum += f(p, e);
  });
  return warp_sum(sum);
}

/// The warp's row, or -1 behind the last one.
__device__ inline int64_t row_of_warp(int64_t rows) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  return row < rows ? row : -1;
}

/// Whether warps can take rows of so many channels of these matrices, with vectors beside them;
/// what is null is none.
template <class T>
bool rows_suit_warps(int64_t width, std::initializer_list<Matrix> matrices,
                     std::initializer_list<const float*> vectors) {
  const auto is_at_16 = [](const void* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; };
  const auto suits = [&](const Matrix& m) {
    return is_at_16(m.data) && m.stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
  };
  return width <= kWidestWarp && width % kEach == 0 &&
         std::all_of(matrices.begin(), matrices.end(), suits) &&
         std::all_of(vectors.begin(), vectors.end(), is_at_16);
}

}  // namespace mtlora::backend::cuda
