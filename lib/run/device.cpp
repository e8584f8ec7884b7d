#include "lib/run/device.h"

#include "lib/backend/cpu/features.h"
#include "lib/backend/cuda/runtime.h"
#include "lib/core/error.h"
#include "lib/core/log.h"

namespace mtlora {
namespace {

void require_cuda() {
  if (!backend::cuda::is_built())
    fail(
        "/train/device: this build computes on the CPU only (\"auto\", \"cpu\"); for CUDA devices "
        "scripts/setup --cuda makes build-cuda/mtlora");
  if (const std::string fault = backend::cuda::device_fault(); !fault.empty())
    fail(
        "/train/device: the CUDA devices of this machine cannot be used: {}; \"cpu\" works without",
        fault);
  if (backend::cuda::device_count() == 0)
    fail(
        "/train/device: no CUDA device is visible: see nvidia-smi -L and CUDA_VISIBLE_DEVICES; "
        "\"auto\" and \"cpu\" work without one");
}

// Why device `index` will not do; "" where it will.
std::string too_old(int index) {
  const int has = backend::cuda::capability(index), wanted = backend::cuda::kLeastCapability;
  if (has >= wanted) return "";
  return fmt::format("CUDA device {} has compute capability {}.{}, below {}.{}", index, has / 10,
                     has % 10, wanted / 10, wanted % 10);
}

// The kernels' launches count sequences in 16 bits.
void check_batches(const RunOptions& options) {
  const int64_t kMost = 65'534;
  const auto check = [kMost](const char* option, int64_t size) {
    if (size > kMost) fail("{}: {}, but a CUDA device takes at most {}", option, size, kMost);
  };
  check("/train/batch_size", options.train.batch_size);
  check("/train/evaluation_batch_size", options.train.evaluation_batch_size);
  check("/generate/batch_size", options.generate.batch_size);
}

}  // namespace

torch::Device open_device(const RunOptions& all, int local_rank) {
  const TrainOptions& options = all.train;
  if (options.device == "cpu") return torch::kCPU;
  if (options.device == "cuda") require_cuda();
  if (const std::string fault = backend::cuda::device_fault(); !fault.empty())
    log::warn(fmt::format("computing on the CPU: the CUDA devices cannot be used: {}", fault));
  const int count = backend::cuda::device_count();
  if (count == 0) return torch::kCPU;
  const int index = local_rank % count;
  if (const std::string reason = too_old(index); !reason.empty()) {
    if (options.device == "cuda") fail("/train/device: {}", reason);
    log::warn(fmt::format("computing on the CPU: {}", reason));
    return torch::kCPU;
  }
  check_batches(all);
  backend::cuda::use_device(index);
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(index)};
}

torch::ScalarType compute_type(const TrainOptions& options, torch::Device device) {
  if (options.dtype == "fp32") return torch::kFloat;
  if (options.dtype == "bf16") return torch::kBFloat16;
  return device.is_cuda() || backend::prefers_bf16() ? torch::kBFloat16 : torch::kFloat;
}

}  // namespace mtlora
