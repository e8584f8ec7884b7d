#include "lib/train/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>

#include "lib/core/log.h"

namespace mtlora {

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

Progress::Progress(const ProgressOptions& options)
    : options_(options),
      is_terminal_(isatty(STDERR_FILENO) != 0),
      begin_(Clock::now()),
      last_(begin_) {}

Progress::~Progress() {
  log::show_status("");
}

void Progress::update(int64_t step, double loss, double lr, int64_t examples) {
  const auto now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  const bool is_last = step == options_.total_steps;
  if (since < (is_terminal_ ? 0.2 : options_.seconds_between_lines) && !(is_last && is_terminal_))
    return;
  last_ = now;
  const double spent = std::chrono::duration<double>(now - begin_).count();
  const auto done = static_cast<double>(step - options_.first_step);
  const double left = spent / done * static_cast<double>(options_.total_steps - step);
  const std::string line = fmt::format(
      "step {}/{}  loss {:.4f}  lr {:.2e}  {:.0f} examples/s  {} left", step, options_.total_steps,
      loss, lr, static_cast<double>(examples) / spent, duration_text(left));
  if (!is_terminal_) return log::info(line);
  log::show_status(line);
}

}  // namespace mtlora
