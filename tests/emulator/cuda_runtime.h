// What our CUDA kernels ask of the CUDA language, for a C++ compiler: with this folder before the
// toolkit's, lib/backend/cuda/*.cu compile as C++ and run on the CPU, block by block, each thread
// of a block as a fiber (block.h). So their laws are checked where there is no GPU. Meanings: CUDA
// C++ Programming Guide, sections "C++ Language Extensions" and "Warp Shuffle Functions".
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "tests/emulator/block.h"

// NOLINTBEGIN: the names are CUDA's
#define __global__
#define __device__
#define __launch_bounds__(threads)
#define __grid_constant__
#define __shared__ static thread_local  // one block runs at a time on a thread of the CPU

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

using mtlora::emulator::blockDim;
using mtlora::emulator::blockIdx;
using mtlora::emulator::dim3;
using mtlora::emulator::gridDim;
using mtlora::emulator::threadIdx;
using std::max;
using std::min;

inline void __syncthreads() {
  mtlora::emulator::wait_for_block();
}
inline void __syncwarp() {
  mtlora::emulator::wait_for_warp();
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int step) {
  return mtlora::emulator::shuffle(value, mtlora::emulator::lane() ^ step);
}
/// Lanes without a source keep their own value.
template <class T>
T __shfl_down_sync(unsigned, T value, int step) {
  const int from = mtlora::emulator::lane() + step;
  return mtlora::emulator::shuffle(value, from < 32 ? from : mtlora::emulator::lane());
}
template <class T>
T __shfl_up_sync(unsigned, T value, int step) {
  const int from = mtlora::emulator::lane() - step;
  return mtlora::emulator::shuffle(value, from >= 0 ? from : mtlora::emulator::lane());
}

inline bool __any_sync(unsigned, bool value) {
  const mtlora::emulator::Given given = mtlora::emulator::give(&value, sizeof value);
  bool any = false;
  for (int lane = 0; lane < 32; ++lane) any |= *static_cast<const bool*>(given(lane));
  return any;
}

inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}

namespace emulator = mtlora::emulator;
// NOLINTEND
