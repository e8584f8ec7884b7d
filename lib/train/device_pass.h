// Loss and gradients of a batch on a CUDA device. The work is recorded, so that asking for a pass
// costs one call instead of a thousand: once for each size of batch. Sizes are rounded up, the rest
// being filler tokens, which no output that matters depends on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "lib/adapters/adapter_set.h"
#include "lib/backend/cuda/runtime.h"
#include "lib/train/device_batch.h"
#include "lib/train/objective.h"

namespace mtlora {

/// `count` rounded up to a size that passes are recorded for, a multiple of 16: from 256 on by less
/// than a sixteenth.
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
  const AdapterSet* adapters = nullptr;  ///< what prepares a pass; null: nobody. Outlives it
};

class DevicePass {
 public:
  static constexpr size_t kMostRecorded = 96;

  /// Of `objective` with the gradients of `tensors`, on their device.
  DevicePass(const Objective& objective, std::vector<Tensor> tensors, DevicePassOptions options);
  ~DevicePass();

  /// The loss of `batch` (of the CPU) times `share`, and its gradients; `key` is of seed and step.
  /// The bits do not depend on whether the work has been recorded yet. What is kept is the work of
  /// the last kMostRecorded sizes.
  PassResult run(const Batch& batch, uint64_t key, double share);
  /// For how many sizes the work is recorded now.
  int64_t recorded_sizes() const;
  /// What a pass over no examples would find: zeros.
  Tensor nothing() const { return torch::zeros_like(flat_); }
  /// The gradients in PassResult::flat, or in a sum of such: views, one a tensor.
  std::vector<Tensor> parts(const Tensor& flat) const;

 private:
  PassResult run_once(const Batch& batch, uint64_t key, double share);
  struct Place;
  Place& place_of(const Batch& batch);
  PassResult compute(const Place& place);
  void make_room();
  void record(Place& place, const Batch& batch);

  using Sizes = std::vector<int64_t>;
  const Objective& objective_;
  std::vector<Tensor> tensors_;
  torch::Device device_;
  DevicePassOptions options_;
  backend::cuda::GraphMemory memory_;
  Tensor flat_;  // where every pass leaves its gradients
  std::map<Sizes, std::unique_ptr<Place>> places_;
  int64_t passes_ = 0;
};

}  // namespace mtlora
