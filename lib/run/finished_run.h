// A finished run, read back from its folder: what it was asked to do, and what came out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lib/run/run_settings.h"

namespace mtlora {

/// {metric, value} in the order of result.json; parts of a split by a dot: "test.bleu",
/// "dev_mismatched.accuracy". One that is undefined is NaN.
using Scores = std::vector<std::pair<std::string, double>>;

struct Outcome {
  int64_t step = 0;
  Scores scores;
};

struct FinishedRun {
  std::filesystem::path folder;
  int64_t seed = 0;
  int64_t trained_parameters = 0;
  std::vector<Setting> settings;
  /// `best` has the scores of the final split too: they are of that checkpoint.
  Outcome best, last;
};

/// Whether the folder of a run holds its results.
bool is_finished(const std::filesystem::path& run);

/// Throws Error naming the file that is not a finished run's.
FinishedRun read_finished_run(const std::filesystem::path& folder);

}  // namespace mtlora
