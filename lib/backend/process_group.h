// Processes that compute one run together: sums over all of them, and which of them is missing when
// they fail. gloo on CPUs, through LibTorch's c10d; NCCL on GPUs.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/core/rendezvous.h"

namespace mtlora::backend {

struct EndedSums;

/// What went wrong between the processes: a rank that is gone or does not answer.
struct PeerFailure {
  std::vector<int> ranks;  ///< those to blame; empty where nobody can tell
  bool is_gone = false;    ///< they are gone; else they did not answer for the whole timeout
  std::string message;     ///< what a failed rank said of its end, or what the library says
};

class ProcessGroup {
 public:
  /// Meets the others. Throws Error when they do not all come within `timeout_seconds`.
  ProcessGroup(const Rendezvous& place, double timeout_seconds);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  /// The sum over all processes, in place; the same bits everywhere. Contiguous, on the CPU. Throws
  /// PeerFailure.
  void sum(at::Tensor tensor);
  /// The largest of all processes' numbers. Throws PeerFailure.
  int64_t largest(int64_t number);

  /// Of processes that compute on GPUs: from here on sum_later() may be called, unless the answer
  /// says why not. Every process calls this, for the device that it uses, and all may or none.
  /// Throws PeerFailure, and Error where the devices do not meet in time.
  std::string use_devices(int device);
  bool sums_on_devices() const;
  // Both throw PeerFailure, and Error where NCCL fails in this process.
  /// As sum(), of contiguous fp32 and fp64 tensors on the device, all together: asked of the device
  /// and not waited for.
  void sum_later(const std::vector<at::Tensor>& tensors);
  /// To be called once the device is known to have done what was asked for: throws where it may
  /// have been ended instead.
  void check_later_sums();

  /// Tells the others why this process is about to end; not where it ends because one of them has.
  void report_failure(const std::string& message);

 private:
  struct State;
  void reduce(at::Tensor tensor, bool largest);
  void meet_devices(int device);
  template <class Ask>
  auto answer(Ask&& ask) const;
  [[noreturn]] void explain(const EndedSums& end);
  PeerFailure blame(const std::string& why, bool in_time);
  std::shared_ptr<State> state_;  // also of threads that wait for an answer which never comes
  bool others_failed_ = false;
  bool hangs_ = false;  // there are such threads
};

}  // namespace mtlora::backend
