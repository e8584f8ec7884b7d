// How far a run is: one line that is rewritten on a terminal, a plain line now and then in a log.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace mtlora {

struct ProgressOptions {
  int64_t total_steps = 0, first_step = 0;
  double seconds_between_lines = 10;  ///< where stderr is no terminal
};

class Progress {
 public:
  explicit Progress(const ProgressOptions& options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// After `step` steps are done; `loss` and `lr` of the last, `examples` of this program run so
  /// far.
  void update(int64_t step, double loss, double lr, int64_t examples);

 private:
  using Clock = std::chrono::steady_clock;
  ProgressOptions options_;
  bool is_terminal_;
  Clock::time_point begin_, last_;
};

/// "1 h 02 min", "3 min 20 s", "4.2 s"
std::string duration_text(double seconds);

}  // namespace mtlora
