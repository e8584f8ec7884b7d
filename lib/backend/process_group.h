// Processes that compute one run together: sums over all of them, and which of them is missing when
// they fail. gloo on CPUs, through LibTorch's c10d.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/core/rendezvous.h"

namespace mtlora::backend {

/// What went wrong between the processes: a rank that is gone or does not answer.
struct PeerFailure {
  std::vector<int> ranks;  ///< those to blame; empty where nobody can tell
  bool is_gone = false;    ///< they are gone; else they are there and have stopped answering
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

  /// Tells the others why this process is about to end.
  void report_failure(const std::string& message);

 private:
  struct State;
  void reduce(at::Tensor tensor, bool largest);
  std::unique_ptr<State> state_;
};

}  // namespace mtlora::backend
