#include <atomic>
#include <cstdlib>
#include <string_view>

#include "lib/backend/cuda/runtime.h"

namespace mtlora::backend::cuda {
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

}  // namespace mtlora::backend::cuda
