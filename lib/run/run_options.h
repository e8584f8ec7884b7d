// The configuration of a run: every section with its defaults.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lib/adapters/inject.h"
#include "lib/core/options.h"
#include "lib/decoding/search.h"
#include "lib/optim/schedule.h"
#include "lib/run/commands.h"

namespace mtlora {

struct ModelOptions {
  std::string path = "models/minilm";
  std::optional<double> dropout;
  void fields(Fields& f);
};

struct TrainOptions {
  int64_t epochs = 3, batch_size = 32, accumulate = 1, max_length = 512, seed = 0;
  std::optional<int64_t> max_steps, evaluate_every_steps, save_every_steps, patience, threads;
  int64_t evaluation_batch_size = 64, log_every_steps = 50, skip_bad_steps = 0, max_overlong = 0;
  bool tensorboard = false;
  double clip = 1.0, label_smoothing = 0.0, timeout_seconds = 600;
  std::optional<std::string> best_by;
  std::string device = "auto", dtype = "auto";
  void fields(Fields& f);
};

/// How texts are written, by data-to-text tasks only.
struct GenerateOptions {
  DecodingOptions decoding;
  bool separator = true;
  int64_t batch_size = 8;
  std::optional<std::string> final_split = "test";
  void fields(Fields& f);
};

/// How written texts are scored, beyond what the task's papers do.
struct ScoreSection {
  std::string missing_reference = "none";
  std::optional<std::string> meteor_data;
  void fields(Fields& f);
};

struct RunOptions {
  Choice task{"sst2"};
  ModelOptions model;
  AdapterOptions adapter;
  Choice optimizer{"adamw"};
  ScheduleOptions schedule;
  TrainOptions train;
  GenerateOptions generate;
  ScoreSection score;
  void fields(Fields& f);
};

/// The configuration as JSON, before it is checked. A file that is not in the current folder is
/// looked for among the shipped configs (the source tree's or the installed ones). Throws Error;
/// UsageError for an assignment that is none.
Json gather_config(const ConfigSource& request, const Json& base = Json::object());

/// The optimizer steps of a run whose epochs have so many micro-batches. Throws Error where they
/// are too many to count.
int64_t total_steps(const TrainOptions& options, int64_t batches_per_epoch);

/// Checks it. Throws Error naming every problem.
RunOptions parse_run_options(const Json& config);

/// Those of a run or checkpoint, with the defaults of what has become an option since. Throws
/// Error naming the file.
RunOptions read_run_options(const std::filesystem::path& file);

}  // namespace mtlora
