// What a CUDA device spends its time on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mtlora::backend::cuda {

/// All runs of one kernel, or of one kind of copy.
struct KernelTime {
  std::string name;
  int64_t count = 0;
  double seconds = 0;
};

/// What the device does for `work`, by name, the longest first. Only in a CUDA build.
std::vector<KernelTime> profile(const std::function<void()>& work);

/// The device's ceilings as they are measured with large operands: of a product of bf16 (or fp32)
/// matrices in operations a second, and of a copy in bytes a second, those read and those written.
struct Ceilings {
  double operations = 0, bytes = 0;
};
Ceilings measure_ceilings(bool bf16);

}  // namespace mtlora::backend::cuda
