// Where the time of a step goes.
#pragma once

#include <chrono>

namespace mtlora {

/// Seconds of the first shard. On a CUDA device `forward` is the whole pass, backward included: its
/// work is recorded as one.
struct Phases {
  double collate = 0, forward = 0, backward = 0, update = 0, wait = 0;
};

/// Adds the time since the last call to a phase.
class PhaseClock {
 public:
  void lap(double& phase) {
    const auto at = std::chrono::steady_clock::now();
    phase += std::chrono::duration<double>(at - last_).count();
    last_ = at;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace mtlora
