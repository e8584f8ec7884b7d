// The CUDA device in tests: those that can use one do where one is visible, beside the CPU; with
// MTLORA_TEST_DEVICE=cuda (scripts/test --cuda) they leave out the CPU's part. The test program
// with emulated kernels (tests/emulator) has a device too: the CPU.
#pragma once

#include <c10/core/Device.h>

#include <cstdlib>
#include <string_view>

#include "lib/backend/cuda/runtime.h"

namespace mtlora::test {

/// Whether there is a device, or an emulated one; this thread works on it then.
inline bool has_device() {
  static const bool found = [] {
    if (backend::cuda::kernels_on_host()) return true;
    if (backend::cuda::device_count() == 0) return false;
    backend::cuda::use_device(0);
    return true;
  }();
  return found;
}

/// Whether the device is emulated: its kernels then take the CPU's tensors, and the CPU's own do
/// not come to them.
inline bool is_emulated() {
  return backend::cuda::kernels_on_host();
}

inline at::Device the_device() {
  return is_emulated() ? at::kCPU : at::kCUDA;
}

inline bool only_device() {
  if (is_emulated()) return true;
  const char* wanted = std::getenv("MTLORA_TEST_DEVICE");
  return has_device() && wanted && std::string_view(wanted) == "cuda";
}

}  // namespace mtlora::test
