// The CUDA device in tests: those that can use one do where one is visible, beside the CPU; with
// MTLORA_TEST_DEVICE=cuda (scripts/test --cuda) they leave out the CPU's part.
#pragma once

#include <cstdlib>
#include <string_view>

#include "lib/backend/cuda/runtime.h"

namespace mtlora::test {

/// Whether there is a device; this thread works on it then.
inline bool has_device() {
  static const bool found = [] {
    if (backend::cuda::device_count() == 0) return false;
    backend::cuda::use_device(0);
    return true;
  }();
  return found;
}

inline bool only_device() {
  const char* wanted = std::getenv("MTLORA_TEST_DEVICE");
  return has_device() && wanted && std::string_view(wanted) == "cuda";
}

}  // namespace mtlora::test
