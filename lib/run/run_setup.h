// A run as its configuration says, up to its first step: what train goes on with, and plan only
// looks at. Nothing is written.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/run/job.h"
#include "lib/run/session.h"
#include "lib/train/trainer.h"

namespace mtlora {

struct RunData {
  EncodedSet train;
  std::vector<std::pair<std::string, EncodedSet>> dev;  ///< split → set; empty: none is evaluated
  Json hashes;                                          ///< of each split
  Json token_hashes;                                    ///< of each as token ids
};

struct RunSetup {
  /// Throws Error for whatever may be wrong with the request. `starts_from`: adapter.start_from
  /// counts, as it does where no checkpoint of the run itself comes after it. The processes of
  /// `world`, which outlives the setup, each have one, and find whether they are of the same run.
  RunSetup(World& world, const Json& config, bool starts_from);
  RunSetup(const RunSetup&) = delete;
  RunSetup& operator=(const RunSetup&) = delete;

  const TrainOptions& options() const { return session.options.train; }
  uint64_t seed() const { return static_cast<uint64_t>(options().seed); }
  StepOptions step_options() const;  ///< point into the setup
  /// What the method starts from beside its draws; not where another run's adapter starts it.
  void initialise(const Objective& objective);

  Session session;
  std::unique_ptr<Job> job;
  RunData data;
  Sampler sampler;  ///< of micro-batches
  RunLength length;
  Schedule schedule;
  std::unique_ptr<Optimizer> optimizer;
};

}  // namespace mtlora
