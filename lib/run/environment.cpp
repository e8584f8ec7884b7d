#include "lib/run/environment.h"

#include <sys/resource.h>
#include <torch/version.h>

#include <fstream>

#include "lib/backend/cpu/features.h"
#include "lib/backend/cuda/runtime.h"

#ifndef MTLORA_VERSION
#  define MTLORA_VERSION "unknown"
#endif

namespace mtlora {
namespace {

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name"))
      return line.substr(std::min(line.find(':') + 2, line.size()));
  return "unknown";
}

}  // namespace

Json environment(const std::string& dtype, int threads, const std::string& device) {
  Json all = {{"mtlora", MTLORA_VERSION},
              {"libtorch", TORCH_VERSION},
              {"processor", processor()},
              {"avx512_bf16", backend::has_avx512_bf16()},
              {"amx_bf16", backend::has_amx_bf16()},
              {"kernels", backend::path() == backend::Path::avx512 ? "avx512" : "plain"},
              {"threads", threads},
              {"dtype", dtype}};
  if (device.empty()) return all;
  all["device"] = device;
  all["kernels"] = backend::cuda::kernels_in_use() ? "cuda" : "plain";
  return all;
}

int64_t process_peak_memory_bytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace mtlora
