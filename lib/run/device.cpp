#include "lib/run/device.h"

#include "lib/backend/cpu/features.h"
#include "lib/backend/cuda/runtime.h"
#include "lib/core/error.h"

namespace mtlora {
namespace {

void require_cuda() {
  if (!backend::cuda::is_built())
    fail(
        "/train/device: this build computes on the CPU only; scripts/setup --cuda makes one for "
        "CUDA "
        "devices (build-cuda/mtlora), \"auto\" and \"cpu\" work here");
  if (backend::cuda::device_count() == 0)
    fail(
        "/train/device: no CUDA device is visible: see nvidia-smi -L and CUDA_VISIBLE_DEVICES; "
        "\"auto\" and \"cpu\" work without one");
}

}  // namespace

torch::Device open_device(const TrainOptions& options, int rank) {
  if (options.device == "cpu") return torch::kCPU;
  if (options.device == "cuda") require_cuda();
  const int count = backend::cuda::device_count();
  if (count == 0) return torch::kCPU;
  const int index = rank % count;
  backend::cuda::use_device(index);
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(index)};
}

torch::ScalarType compute_type(const TrainOptions& options, torch::Device device) {
  if (options.dtype == "fp32") return torch::kFloat;
  if (options.dtype == "bf16") return torch::kBFloat16;
  return device.is_cuda() || backend::prefers_bf16() ? torch::kBFloat16 : torch::kFloat;
}

}  // namespace mtlora
