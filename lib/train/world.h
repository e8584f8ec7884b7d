// The processes of a run. Each holds the whole model and computes a part of every batch; gradients,
// losses and predictions are summed over them, so that N processes do what one would. Alone,
// nothing of this costs anything.
#pragma once

#include <torch/types.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/core/rendezvous.h"

namespace mtlora::backend {
class ProcessGroup;
struct PeerFailure;
}  // namespace mtlora::backend

namespace mtlora {

class World {
 public:
  /// Alone.
  World();
  /// Meets the others, if there are any. Throws Error when they do not come in time.
  World(const Rendezvous& place, double timeout_seconds);
  ~World();

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  /// Where this process stands.
  const Rendezvous& place() const { return place_; }
  /// The one that writes files and speaks to the user.
  bool leads() const { return place_.rank == 0; }

  /// Of the run's device, by every process: gradients are summed on the GPUs from here on, where
  /// each process has one of its own and NCCL serves them.
  void use_device(torch::Device device);
  /// By what gradients are summed: "NCCL", "gloo", "gloo: several processes share a GPU"; "":
  /// alone.
  const std::string& sums_by() const { return sums_by_; }
  /// Whether sum_later() does not wait.
  bool sums_on_devices() const;

  // All throw BrokenRun naming the rank that is gone or does not answer.

  /// The sums over all processes, in place and the same bits everywhere; fp32, as one flat buffer.
  void sum(const std::vector<torch::Tensor>& tensors);
  void sum(std::span<double> numbers);
  /// The same of one contiguous tensor.
  void sum(const torch::Tensor& tensor);
  /// The sums of contiguous fp32 and fp64 tensors, but only asked of the device where
  /// sums_on_devices(): check_later_sums() once the device is known to have done it, before the
  /// sums are used.
  void sum_later(const std::vector<torch::Tensor>& tensors);
  void check_later_sums();
  /// The largest of all processes' numbers.
  int largest(int number);
  /// Waits for all.
  void meet() { largest(0); }

  /// Tells the others why this process ends.
  void report_failure(const std::string& message);

 private:
  template <class Work>
  void together(Work&& work) const;
  [[noreturn]] void explain(const backend::PeerFailure& failure) const;

  Rendezvous place_;
  double timeout_seconds_ = 0;
  std::string sums_by_;
  std::unique_ptr<backend::ProcessGroup> group_;
};

}  // namespace mtlora
