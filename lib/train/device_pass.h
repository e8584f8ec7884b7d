// Loss and gradients of a batch on a CUDA device. The work is recorded, so that asking for a pass
// costs one call instead of a thousand.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/adapters/adapter_set.h"
#include "lib/train/objective.h"
#include "lib/train/recorded_passes.h"

namespace mtlora {

/// What a pass found, on the device. It is there until the next pass.
struct PassResult {
  Tensor loss;  ///< fp32 scalar
  Tensor flat;  ///< all gradients, one after the other, in the tensors' order
};

struct DevicePassOptions {
  bool training = true;  ///< with dropout
  /// Whether what is asked of the device depends on the sizes of a batch alone. Else nothing is
  /// recorded.
  bool repeats = true;
  const AdapterSet* adapters = nullptr;  ///< what prepares a pass; null: nobody. Outlives it
};

class DevicePass {
 public:
  /// Of `objective` with the gradients of `tensors`, on their device.
  DevicePass(const Objective& objective, std::vector<Tensor> tensors, DevicePassOptions options);
  DevicePass(const DevicePass&) = delete;
  DevicePass& operator=(const DevicePass&) = delete;

  /// The loss of `batch` (of the CPU) times `share`, and its gradients, as RecordedPasses::run()
  /// has them; `key` is of seed and step.
  PassResult run(const Batch& batch, uint64_t key, double share);
  /// For how many sizes the work is recorded now.
  int64_t recorded_sizes() const { return passes_.recorded_sizes(); }
  /// What a pass over no examples would find: zeros.
  Tensor nothing() const { return torch::zeros_like(flat_); }
  /// The gradients in PassResult::flat, or in a sum of such: views, one a tensor.
  std::vector<Tensor> parts(const Tensor& flat) const;

 private:
  PassResult compute(const RecordedPasses::Given& given) const;

  const Objective& objective_;
  std::vector<Tensor> tensors_;
  DevicePassOptions options_;
  Tensor flat_;  // where every pass leaves its gradients
  RecordedPasses passes_;
};

}  // namespace mtlora
