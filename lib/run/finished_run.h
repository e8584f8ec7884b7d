// A finished run, read back from its folder: what it was asked to do, and what came out.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/json.h"

namespace mtlora {

/// One thing that tells a run from others that are no repetition of it.
struct Setting {
  std::string option;    ///< "adapter.method.rank"
  std::string identity;  ///< runs that repeat each other have the same one
  std::string shown;     ///< what a table says
  std::string hash;      ///< of what lies behind a path, where that is one; else ""
};

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
  /// All options but the seed and what a run may be resumed with another of. Data and base weights
  /// are their hashes, wherever they lie; the dtype is the one that was computed in.
  std::vector<Setting> settings;
  /// `best` has the scores of the final split too: they are of that checkpoint.
  Outcome best, last;
};

/// The folders of runs, finished or not: `path` itself, or those below it in the order of their
/// names. Throws Error where there is none, or what is there cannot be read.
std::vector<std::filesystem::path> run_folders(const std::filesystem::path& path);

bool is_finished(const std::filesystem::path& run);

/// Throws Error naming the file that is not a finished run's.
FinishedRun read_finished_run(const std::filesystem::path& folder);

}  // namespace mtlora
