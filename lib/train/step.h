// One training step: forward, loss, backward, clip, update. Nothing else moves weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/adapters/adapter_set.h"
#include "lib/backend/shards.h"
#include "lib/optim/registry.h"
#include "lib/train/shard_pass.h"
#include "lib/train/world.h"

namespace mtlora {

struct StepOptions {
  double clip = 1.0;  ///< of the gradients' global norm; 0: none
  uint64_t seed = 0;
  bool training = true;  ///< false: dropout is off
  /// The method's part in a step; null: none. Outlives the step.
  AdapterSet* adapters = nullptr;
  /// The processes that compute the step together; null: this one alone. Outlives the step.
  World* world = nullptr;
  /// Asks for a step as a whole on the CPU too, as on a device (run()): for tests, which find the
  /// same bits.
  bool as_on_device = false;
};

struct StepReport {
  double loss = 0;           ///< mean over the step's terms (examples, or targets of texts)
  double gradient_norm = 0;  ///< before clipping
  int64_t examples = 0, tokens = 0;
  bool skipped = false;  ///< the loss or a gradient is not finite: nothing has moved
  Phases phases;
};

/// What becomes of a step whose loss or gradients are not finite.
enum class BadStep { stops, is_skipped };

/// The micro-batches of a step.
using Batches = std::vector<std::vector<Item>>;

class TrainStep {
 public:
  /// The objective and the pool outlive the step.
  TrainStep(const Objective& objective, std::vector<Parameter> parameters, backend::ShardPool& pool,
            StepOptions options);
  ~TrainStep();

  // Every process is given all examples of the step, computes its part of them, and gets the sums.

  /// Loss and gradients of the micro-batches taken together as one batch: sums over the terms of
  /// all examples divided by their whole number, and the method's penalty. The gradients are in the
  /// parameters' order.
  StepReport gradients(int64_t step, const Batches& micro_batches, std::vector<Tensor>& gradients);
  /// The loss alone, in evaluation and without a graph.
  StepReport loss(int64_t step, const Batches& micro_batches);
  /// The same, and its derivative along `direction`, a tensor for every parameter. Throws Error
  /// where an operation of the model has no rule for that.
  StepReport slope(int64_t step, const Batches& micro_batches, const std::vector<Tensor>& direction,
                   double& slope);
  /// Gradients, clipping and the update, the method's hooks around it; or, for an optimizer that
  /// takes no gradients, losses and the update. Throws Error naming the examples and the first bad
  /// layer when the loss or a gradient is not finite; nothing has moved then. Where bad steps are
  /// skipped, reports so instead (an optimizer without gradients always stops).
  ///
  /// On a device the CPU asks for all of a step, and waits for its numbers only then; `next`, the
  /// micro-batches of step + 1 (null: there is none), is asked for before that wait, so that the
  /// device goes on. The next call has to be of that step then.
  StepReport run(int64_t step, const Batches& micro_batches, Optimizer& optimizer, double factor,
                 BadStep bad = BadStep::stops, const Batches* next = nullptr);

 private:
  enum class Wanted { gradients, late_gradients, loss };
  /// One pass over the micro-batches, cut into shards. The caller has gradients switched off.
  StepReport pass(int64_t step, const Batches& micro_batches, Wanted wanted,
                  std::vector<ShardSum>& shards);
  /// Of the run's seed and a step.
  uint64_t key_of(int64_t step) const {
    return combine(options_.seed, static_cast<uint64_t>(step));
  }
  void sum_losses(StepReport& report) const;
  void add_penalty(StepReport& report, std::vector<Tensor>& gradients) const;
  Tensor add_penalty(StepReport& report) const;
  /// Throws Error that says where a report's numbers stop being finite; gradients: null where there
  /// are none.
  [[noreturn]] void explain(int64_t step, const Batches& micro_batches, const StepReport& report,
                            const std::vector<Tensor>* gradients) const;
  // late_step.cpp
  struct Asked;
  bool is_late(const Optimizer& optimizer) const;
  StepReport run_late(int64_t step, const Batches& micro_batches, Optimizer& optimizer,
                      double factor, BadStep bad, const Batches* next);
  Asked ask(int64_t step, const Batches& micro_batches);
  void sum_later(Asked& asked) const;

  std::vector<Tensor> sum_of(std::vector<ShardSum>& shards);
  StepReport run_by_loss(int64_t step, const Batches& micro_batches, Optimizer& optimizer,
                         double factor);
  void finish(int64_t step, std::vector<Tensor>& gradients, Optimizer& optimizer) const;

  const Objective& objective_;
  std::vector<Parameter> parameters_;
  std::vector<Tensor> tensors_;
  backend::ShardPool& pool_;
  StepOptions options_;
  ShardPass shard_pass_;
  Tensor flat_;  // of the last step: where defined, its gradients are the parts of this
  std::unique_ptr<Asked> asked_;  // ahead: run() takes it up
};

}  // namespace mtlora
