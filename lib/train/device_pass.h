// Loss and gradients of a batch on a CUDA device. The work is recorded, so that asking for a pass
// costs one call instead of a thousand: once for each size of batch. Sizes are rounded up, the rest
// being filler tokens, which no output that matters depends on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "lib/backend/cuda/runtime.h"
#include "lib/train/device_batch.h"
#include "lib/train/objective.h"

namespace mtlora {

/// `count` rounded up to a size that passes are recorded for: by less than an eighth, and by less
/// than a twentieth on average.
int64_t bucket_of(int64_t count);

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
};

class DevicePass {
 public:
  /// Of `objective` with the gradients of `tensors`, on their device.
  DevicePass(const Objective& objective, std::vector<Tensor> tensors, DevicePassOptions options);
  ~DevicePass();

  /// The loss of `batch` (of the CPU) times `share`, and its gradients; `key` is of seed and step.
  /// The bits do not depend on whether the work has been recorded yet.
  PassResult run(const Batch& batch, uint64_t key, double share);
  /// The gradients in PassResult::flat, or in a sum of such: views, one a tensor.
  std::vector<Tensor> parts(const Tensor& flat) const;

 private:
  struct Place;
  Place& place_of(const Batch& batch);
  PassResult compute(const Place& place) const;
  void record(Place& place, const Batch& batch);

  using Sizes = std::vector<int64_t>;
  const Objective& objective_;
  std::vector<Tensor> tensors_;
  torch::Device device_;
  DevicePassOptions options_;
  backend::cuda::GraphMemory memory_;
  std::map<Sizes, std::unique_ptr<Place>> places_;
};

}  // namespace mtlora
