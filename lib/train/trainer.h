// The training loop: steps, evaluations, checkpoints, and when to stop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/core/json.h"
#include "lib/data/sampler.h"
#include "lib/optim/schedule.h"
#include "lib/train/checkpoint.h"
#include "lib/train/evaluate.h"
#include "lib/train/event_log.h"
#include "lib/train/step.h"
#include "lib/train/tensorboard.h"

namespace mtlora {

/// How long a run is and what happens when. Steps are optimizer steps.
struct RunLength {
  int64_t total_steps = 0;
  int64_t evaluate_every_steps = 0, save_every_steps = 0, log_every_steps = 50;
  int64_t accumulate = 1;           ///< micro-batches a step
  int64_t skip_bad_steps = 0;       ///< so many in a row are left out before the run stops
  std::optional<int64_t> patience;  ///< evaluations without a better score
  std::string best_by;              ///< a metric of the task, or "loss"
};

/// Everything a run is, beside the weights: saving and restoring it with them continues the run bit
/// for bit.
struct RunState {
  int64_t step = 0, best_step = 0, evaluations_since_best = 0;
  int64_t examples = 0, loss_steps = 0, metrics_bytes = 0;
  double best_value = 0, loss_sum = 0, seconds = 0;
  int64_t skipped_steps = 0, bad_in_a_row = 0;  ///< whose loss or gradients were not finite
  bool stopped_early = false;
  Json best_metrics, last_metrics;  ///< null before the first evaluation

  Json to_json() const;
  static RunState from_json(const Json& json);
};

/// What a trainer works with; all of it outlives the trainer.
struct TrainerParts {
  std::vector<NamedTensor> trained;
  TrainStep& step;
  Optimizer& optimizer;
  const Schedule& schedule;
  Sampler& sampler;  ///< of micro-batches
  std::vector<std::pair<std::string, EncodedSet>>
      dev;  ///< the first decides what is best; may be empty
  std::function<Evaluation(const EncodedSet&)> evaluate;
  Json config;
  std::string fingerprint;
  Json computes;      ///< what computes how: another gives other bits
  Json data_hashes;   ///< of every split, by name
  Json token_hashes;  ///< of every split as token ids, likewise
  const Tokenizer& tokenizer;
  std::filesystem::path folder;  ///< of the run
  AdapterSet& adapters;
  uint64_t seed;
  World& world;              ///< its leader writes
  bool tensorboard = false;  ///< event files for it are written too
};

class Trainer {
 public:
  Trainer(TrainerParts parts, RunLength length)
      : parts_(std::move(parts)), length_(std::move(length)) {}

  /// Takes up the run where `folder`/last, or another checkpoint of it, left it.
  void resume(const std::string& name = "last");
  /// Trains to the end, or until a signal asks any process to stop (then a checkpoint is saved
  /// first); returns that signal, or 0 at the end.
  int run();

  const RunState& state() const { return state_; }

 private:
  StepReport one_step();
  void check_same(const Json& json, const std::filesystem::path& folder) const;
  double lr_of(int64_t step) const;
  std::vector<std::pair<std::string, Tensor>> moving_state() const;
  void count_bad(const StepReport& report);
  void log_step(const StepReport& report);
  void open_events();
  void write_event(const Json& event);
  void evaluate_now();
  void save(const std::string& name);
  void save_last();
  bool is_due(int64_t every) const;

  TrainerParts parts_;
  RunLength length_;
  RunState state_;
  bool has_no_last_ = false;                  // where it goes on from another checkpoint
  std::optional<Batches> ahead_;              // of the next step
  std::unique_ptr<EventLog> events_;          // of the leader
  std::unique_ptr<TensorBoard> tensorboard_;  // of the leader, where it is asked for
};

}  // namespace mtlora
