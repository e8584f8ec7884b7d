#include "lib/run/train_result.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdio_ext.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "lib/core/log.h"

namespace mtlora {
namespace {

void print_and_log(const std::string& line) {
  fmt::print("{}\n", line);
  log::to_file(line);
}

void forget_unread_output() {
  if (std::fflush(stdout) == 0 || errno != EPIPE) return;
  __fpurge(stdout);
  std::clearerr(stdout);
}

}  // namespace

Json train_result(const RunState& state, const Session& s, const Json& hashes) {
  const bool has_dev = !state.best_metrics.is_null();
  return {
      {"metrics", state.best_metrics},
      {"best", {{"step", has_dev ? state.best_step : state.step}, {"metrics", state.best_metrics}}},
      {"last", {{"step", state.step}, {"metrics", state.last_metrics}}},
      {"steps", state.step},
      {"stopped_early", state.stopped_early},
      {"skipped_steps", state.skipped_steps},
      {"seconds", state.seconds},
      {"examples_per_second",
       state.seconds > 0 ? static_cast<double>(state.examples) / state.seconds : 0},
      {"trained_parameters", s.trained.count()},
      {"data", hashes},
      {"base", s.loaded.fingerprint},
      {"environment", s.environment()}};
}

void print_scores(const std::string& split, const Json& scores) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : scores.items())
    if (!value.is_object()) parts.push_back(fmt::format("{} {:.4f}", name, value.get<double>()));
  print_and_log(fmt::format("{}: {}", split, fmt::join(parts, "  ")));
  for (const auto& [name, value] : scores.items())
    if (value.is_object()) print_scores(split + " " + name, value);
}

void print_result(const RunState& state, const std::filesystem::path& folder) {
  std::string metrics;
  if (!state.best_metrics.is_null())
    for (const auto& [name, value] : state.best_metrics.items())
      if (!value.is_object()) metrics += fmt::format("{} {}  ", name, value.dump());
  print_and_log(fmt::format("{}step {} of {}, {:.1f} s of training", metrics,
                            state.best_metrics.is_null() ? state.step : state.best_step, state.step,
                            state.seconds));
  fmt::print("{}\n", folder.string());
  forget_unread_output();
}

}  // namespace mtlora
