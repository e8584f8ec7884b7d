// Architecture: LibTorch's profiler and its timing of device work, which only a CUDA build has.
#include "lib/backend/cuda/profile.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "lib/backend/cuda/runtime.h"

namespace mtlora::backend::cuda {
namespace {

/// Seconds that `work` takes, at its best of a few times.
double seconds_of(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    wait();
    const auto begin = std::chrono::steady_clock::now();
    for (int k = 0; k < 5; ++k) work();
    wait();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count() / 5);
  }
  return best;
}

}  // namespace

std::vector<KernelTime> profile(const std::function<void()>& work) {
  namespace p = torch::autograd::profiler;
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  const std::set<torch::profiler::impl::ActivityType> activities{
      torch::profiler::impl::ActivityType::CUDA};
  wait();
  p::prepareProfiler(config, activities);
  p::enableProfiler(config, activities);
  work();
  wait();
  const auto result = p::disableProfiler();
  std::map<std::string, KernelTime> by_name;
  for (const auto& event : result->events()) {
    if (event.deviceType() != c10::DeviceType::CUDA) continue;
    KernelTime& kernel = by_name[event.name()];
    kernel.name = event.name();
    ++kernel.count;
    kernel.seconds += static_cast<double>(event.durationNs()) * 1e-9;
  }
  std::vector<KernelTime> all;
  for (auto& [name, kernel] : by_name) all.push_back(std::move(kernel));
  std::sort(all.begin(), all.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  return all;
}

Ceilings measure_ceilings(bool bf16) {
  const at::NoGradGuard no_grad;
  const auto there = at::TensorOptions(at::kCUDA).dtype(bf16 ? at::kBFloat16 : at::kFloat);
  constexpr int64_t n = 8192, bytes = int64_t{1} << 30;
  at::Tensor a = at::rand({n, n}, there), b = at::rand({n, n}, there), c = at::empty({n, n}, there);
  const double product = seconds_of([&] { at::mm_out(c, a, b); });
  at::Tensor from = at::empty({bytes}, at::TensorOptions(at::kCUDA).dtype(at::kByte)),
             to = at::empty_like(from);
  const double copy = seconds_of([&] { to.copy_(from); });
  return {2.0 * n * n * n / product, 2.0 * static_cast<double>(bytes) / copy};
}

}  // namespace mtlora::backend::cuda
