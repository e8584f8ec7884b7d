// A build without CUDA: no tensor is ever on a device, so that nothing here but the first three is
// ever called. The stand-ins of kernels and recorded work are in absent_kernels.cpp.
#include <cstdlib>

#include "lib/backend/cuda/profile.h"
#include "lib/backend/cuda/runtime.h"

namespace mtlora::backend::cuda {

bool is_built() {
  return false;
}
int device_count() {
  return 0;
}
std::string device_fault() {
  return "";
}
int capability(int) {
  std::abort();
}
void use_device(int) {
  std::abort();
}
std::string device_name() {
  std::abort();
}
int64_t peak_memory() {
  std::abort();
}
void wait() {
  std::abort();
}

std::vector<KernelTime> profile(const std::function<void()>&) {
  std::abort();
}
Ceilings measure_ceilings(bool) {
  std::abort();
}

struct Moment::State {};
Moment::Moment() {
  std::abort();
}
Moment::~Moment() = default;
void Moment::wait() {
  std::abort();
}

}  // namespace mtlora::backend::cuda
