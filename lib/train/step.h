// One training step: forward, loss, backward, clip, update. Nothing else moves weights.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lib/backend/shards.h"
#include "lib/optim/registry.h"
#include "lib/train/objective.h"

namespace mtlora {

struct StepOptions {
  double clip = 1.0;  ///< of the gradients' global norm; 0: none
  uint64_t seed = 0;
  bool training = true;  ///< false: dropout is off
};

/// Where the time of a step goes, in seconds of the first shard.
struct Phases {
  double collate = 0, forward = 0, backward = 0, update = 0, wait = 0;
};

struct StepReport {
  double loss = 0;           ///< mean over the step's terms (examples, or targets of texts)
  double gradient_norm = 0;  ///< before clipping
  int64_t examples = 0, tokens = 0;
  Phases phases;
};

class TrainStep {
 public:
  /// The objective and the pool outlive the step.
  TrainStep(const Objective& objective, std::vector<Parameter> parameters, backend::ShardPool& pool,
            StepOptions options);

  /// Loss and gradients of the micro-batches taken together as one batch: sums over the terms of
  /// all examples divided by their whole number. The gradients are in the parameters' order.
  StepReport gradients(int64_t step, const std::vector<std::vector<Item>>& micro_batches,
                       std::vector<Tensor>& gradients);
  /// The same, then clips and moves the parameters. Throws Error naming the examples when the loss
  /// or a gradient is not finite; nothing has moved then.
  StepReport run(int64_t step, const std::vector<std::vector<Item>>& micro_batches,
                 Optimizer& optimizer, double factor);

 private:
  struct Shard;
  void run_shard(int64_t step, const std::vector<Item>& items, double share, Shard& shard);
  [[noreturn]] void report_not_finite(int64_t step,
                                      const std::vector<std::vector<Item>>& micro_batches,
                                      const StepReport& report) const;

  const Objective& objective_;
  std::vector<Parameter> parameters_;
  std::vector<Tensor> tensors_;
  backend::ShardPool& pool_;
  StepOptions options_;
};

}  // namespace mtlora
