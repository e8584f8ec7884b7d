#include <atomic>
#include <cstdlib>
#include <string_view>

#include "lib/backend/cuda/runtime.h"
#include "lib/backend/ops.h"

namespace mtlora::backend {

bool is_apart(at::Device device) {
  return device.is_cuda() || (cuda::kernels_on_host() && cuda::kernels_in_use());
}

namespace cuda {
namespace {

std::atomic<bool>& switched_on() {
  static std::atomic<bool> on = [] {
    const char* wanted = std::getenv("MTLORA_BACKEND");
    return !wanted || std::string_view(wanted) != "plain";
  }();
  return on;
}

}  // namespace

bool kernels_in_use() {
  return switched_on();
}

void use_kernels(bool use) {
  switched_on() = use;
}

}  // namespace cuda
}  // namespace mtlora::backend
