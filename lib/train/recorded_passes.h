// Passes over batches of like size on a CUDA device: the same work each time, which is recorded as
// a graph when a size is met for the second time, and replayed from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "lib/backend/cuda/runtime.h"
#include "lib/models/model.h"
#include "lib/train/device_batch.h"

namespace mtlora {

/// `count` rounded up to a size that passes are recorded for, a multiple of 16: from 256 on by less
/// than a sixteenth.
int64_t bucket_of(int64_t count);

class RecordedPasses {
 public:
  static constexpr size_t kMostRecorded = 96;

  /// What a pass is given, on the device.
  struct Given {
    const Batch& batch;
    Tensor step_key;  ///< int64 [1]
    Tensor share;     ///< fp32 scalar
  };
  using Work = std::function<std::vector<Tensor>(const Given&)>;

  /// Of a model on a device. `repeats`: whether what `work` asks of the device depends on the sizes
  /// of a batch alone; else nothing is recorded.
  RecordedPasses(Model& model, bool repeats, Work work);
  ~RecordedPasses();
  RecordedPasses(const RecordedPasses&) = delete;
  RecordedPasses& operator=(const RecordedPasses&) = delete;

  /// The results of the work on `batch` (of the CPU); they are there until the next run. Their bits
  /// do not depend on whether the work has been recorded yet. What is kept is the work of the last
  /// kMostRecorded sizes. Where the device has no memory left, all that this thread has recorded,
  /// by whichever object, is given up, and nothing more is recorded.
  std::vector<Tensor> run(const Batch& batch, uint64_t key, double share);
  /// For how many sizes the work is recorded now.
  int64_t recorded_sizes() const;

 private:
  struct Place;
  Place& place_of(const Batch& batch);
  std::vector<Tensor> run_once(const Batch& batch, uint64_t key, double share);
  std::vector<Tensor> compute(const Place& place) const;
  void make_room();
  void record(Place& place, const Batch& batch);
  void give_up();

  using Sizes = std::vector<int64_t>;
  torch::Device device_;
  int64_t longest_;  // the model takes no longer sequence
  bool repeats_;
  Work work_;
  backend::cuda::GraphMemory memory_;
  std::map<Sizes, std::unique_ptr<Place>> places_;
  int64_t passes_ = 0;
};

}  // namespace mtlora
