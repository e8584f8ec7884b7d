// How a kernel is asked for, and where its blocks share memory. Here alone nvcc's own syntax
// stands: the rest compiles as C++ too, and the tests run it on the CPU (tests/emulator).
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#include "lib/backend/cuda/kernels.h"

namespace mtlora::backend::cuda {

#ifdef __CUDACC__
/// What the threads of a block share, as many bytes as launch() was told.
__device__ inline float* shared_floats() {
  extern __shared__ float4 shared_bytes[];
  return reinterpret_cast<float*>(shared_bytes);
}
#else
inline float* shared_floats() {
  return static_cast<float*>(emulator::shared_memory());
}
#endif

/// Runs `kernel` for every block of `grid`, with `shared` bytes a block. A launch that the device
/// refuses is a fault of ours: it ends the program and names `what`.
template <class... Parameters, class... Arguments>
void launch([[maybe_unused]] const char* what, void (*kernel)(Parameters...), dim3 grid,
            int threads, size_t shared, [[maybe_unused]] Stream stream,
            const Arguments&... arguments) {
#ifdef __CUDACC__
  // Unasked a block has 48 KB, for `shared` and for what the kernel declares itself, which is not
  // known here: 8 KB are left to that.
  constexpr size_t kUnasked = 40 * 1024;
  if (shared > kUnasked)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shared));
  kernel<<<grid, threads, shared, static_cast<cudaStream_t>(stream)>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "CUDA: %s: %s\n", what, cudaGetErrorString(error));
  std::abort();
#else
  emulator::run_grid(grid, threads, shared, [=] { kernel(arguments...); });
#endif
}

}  // namespace mtlora::backend::cuda
