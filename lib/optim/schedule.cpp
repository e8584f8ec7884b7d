#include "lib/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lib/core/error.h"

namespace mtlora {

void ScheduleOptions::fields(Fields& f) {
  f("name", name,
    "How the learning rate goes after the warm-up, which constant has too, as Hugging Face's "
    "constant_with_warmup.",
    one_of({"linear", "cosine", "constant"}));
  f("warmup", warmup, "Share of all steps in which the learning rate rises from 0.", between(0, 1));
  f("warmup_steps", warmup_steps, "The warm-up in steps; where given, `warmup` does not count.",
    at_least(0));
}

Schedule::Schedule(const ScheduleOptions& options, int64_t total_steps)
    : name_(options.name), total_(total_steps) {
  warmup_ = options.warmup_steps.value_or(
      static_cast<int64_t>(std::ceil(options.warmup * static_cast<double>(total_steps))));
  if (warmup_ > total_)
    fail("/schedule/warmup_steps: {} steps of warm-up, but the run has only {}", warmup_, total_);
}

double Schedule::factor(int64_t step) const {
  if (step < warmup_) return static_cast<double>(step) / static_cast<double>(warmup_);
  if (name_ == "constant") return 1.0;
  const double done = static_cast<double>(step - warmup_) /
                      static_cast<double>(std::max<int64_t>(1, total_ - warmup_));
  if (name_ == "linear") return std::max(0.0, 1.0 - done);
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * done)));
}

}  // namespace mtlora
