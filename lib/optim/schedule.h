// Learning-rate schedules: pure functions of the step, as Hugging Face's get_scheduler.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/core/options.h"

namespace mtlora {

struct ScheduleOptions {
  std::string name = "linear";
  double warmup = 0.06;
  std::optional<int64_t> warmup_steps;

  void fields(Fields& f);
};

class Schedule {
 public:
  /// For a run of `total_steps`. Throws Error when the warm-up is longer than the run.
  Schedule(const ScheduleOptions& options, int64_t total_steps);

  /// The factor of the learning rate at `step` (0, 1, …): rises from 0 over the warm-up steps; then
  /// falls to 0 on a line, or on half a cosine, or stays 1.
  double factor(int64_t step) const;
  int64_t warmup_steps() const { return warmup_; }

 private:
  std::string name_;
  int64_t total_, warmup_;
};

}  // namespace mtlora
