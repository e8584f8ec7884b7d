#include "lib/train/step.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>

#include "lib/backend/optimizer_ops.h"
#include "lib/core/error.h"

namespace mtlora {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Adds the time since the last call to a phase.
class Clock {
 public:
  void lap(double& phase) {
    const double at = now();
    phase += at - last_;
    last_ = at;
  }

 private:
  double last_ = now();
};

}  // namespace

// What one thread gathers over the micro-batches of a step.
struct TrainStep::Shard {
  double loss = 0;
  int64_t tokens = 0;
  std::vector<Tensor> gradients;  // undefined where nothing reached a parameter
  Phases phases;
};

TrainStep::TrainStep(const Objective& objective, std::vector<Parameter> parameters,
                     backend::ShardPool& pool, StepOptions options)
    : objective_(objective), parameters_(std::move(parameters)), pool_(pool), options_(options) {
  for (const Parameter& p : parameters_) tensors_.push_back(p.tensor);
}

void TrainStep::run_shard(int64_t step, const std::vector<Item>& items, double share,
                          Shard& shard) {
  if (items.empty()) return;
  const torch::AutoGradMode with_gradients(true);
  Clock clock;
  const Batch batch = objective_.collate(items);
  clock.lap(shard.phases.collate);
  const Pass pass{options_.training, combine(options_.seed, static_cast<uint64_t>(step)),
                  batch.rows};
  const Tensor shared = objective_.loss(batch, pass) * share;
  clock.lap(shard.phases.forward);
  const auto gradients =
      torch::autograd::grad({shared}, tensors_, {}, /*retain_graph=*/false, /*create_graph=*/false,
                            /*allow_unused=*/true);
  shard.loss += static_cast<double>(shared.item<float>());
  shard.tokens += batch.ids.size(0);
  shard.gradients.resize(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    // Out of place: two parameters may share one gradient tensor (DTSM's C and D do).
    shard.gradients[i] =
        shard.gradients[i].defined() ? shard.gradients[i] + gradients[i] : gradients[i];
  }
  clock.lap(shard.phases.backward);
}

StepReport TrainStep::gradients(int64_t step, const std::vector<std::vector<Item>>& micro_batches,
                                std::vector<Tensor>& gradients) {
  const torch::NoGradGuard no_grad;
  StepReport report;
  int64_t terms = 0;
  for (const auto& items : micro_batches) {
    report.examples += static_cast<int64_t>(items.size());
    for (const Item& item : items) terms += objective_.terms(item.index);
  }
  const double share = 1.0 / static_cast<double>(terms);
  const auto count = static_cast<size_t>(pool_.threads());

  std::vector<std::vector<std::vector<Item>>> cut;
  for (const auto& items : micro_batches) cut.push_back(cut_shards(objective_.set(), items, count));
  std::vector<Shard> shards(count);
  Clock clock;
  double parallel = 0;
  pool_.run([&](int shard) {
    const auto s = static_cast<size_t>(shard);
    for (const auto& micro : cut) run_shard(step, micro[s], share, shards[s]);
  });
  clock.lap(parallel);

  // In fixed order: the sum does not depend on which thread was done first.
  gradients.assign(tensors_.size(), {});
  for (Shard& shard : shards) {
    report.loss += shard.loss;
    report.tokens += shard.tokens;
    for (size_t i = 0; i < shard.gradients.size(); ++i) {
      if (!shard.gradients[i].defined()) continue;
      if (gradients[i].defined())
        gradients[i].add_(shard.gradients[i]);
      else  // a copy of its own, in the parameter's layout: what follows works in place
        gradients[i] = shard.gradients[i].clone(at::MemoryFormat::Contiguous);
    }
  }
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (!gradients[i].defined()) gradients[i] = torch::zeros_like(tensors_[i]);
  report.phases = shards[0].phases;
  report.phases.wait =
      parallel - report.phases.collate - report.phases.forward - report.phases.backward;
  clock.lap(report.phases.update);
  return report;
}

StepReport TrainStep::run(int64_t step, const std::vector<std::vector<Item>>& micro_batches,
                          Optimizer& optimizer, double factor) {
  std::vector<Tensor> grads;
  StepReport report = gradients(step, micro_batches, grads);
  const torch::NoGradGuard no_grad;
  Clock clock;
  report.gradient_norm = backend::gradient_norm(grads);
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm))
    report_not_finite(step, micro_batches, report);
  // as torch.nn.utils.clip_grad_norm_
  if (options_.clip > 0 && report.gradient_norm > options_.clip)
    backend::scale_(grads, options_.clip / (report.gradient_norm + 1e-6));
  optimizer.step(grads, factor);
  clock.lap(report.phases.update);
  return report;
}

void TrainStep::report_not_finite(int64_t step, const std::vector<std::vector<Item>>& micro_batches,
                                  const StepReport& report) const {
  std::vector<int64_t> indices;
  for (const auto& items : micro_batches)
    for (const Item& item : items) indices.push_back(item.index);
  std::sort(indices.begin(), indices.end());
  fail(
      "step {}: the loss is {} and the gradients' norm {}: training has diverged. Examples of this "
      "step (counted "
      "from 0 in the training set): {}. A smaller optimizer.lr or a longer schedule.warmup is the "
      "usual cure; the "
      "last checkpoint is intact.",
      step + 1, report.loss, report.gradient_norm, fmt::join(indices, ", "));
}

}  // namespace mtlora
