#include "lib/train/step.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lib/backend/clip.h"
#include "lib/backend/forward_mode.h"
#include "lib/backend/optimizer_ops.h"
#include "lib/core/error.h"
#include "lib/train/late_step.h"
#include "lib/train/not_finite.h"

namespace mtlora {
namespace {

std::vector<Tensor> tensors_of(const std::vector<Parameter>& parameters) {
  std::vector<Tensor> tensors;
  for (const Parameter& p : parameters) tensors.push_back(p.tensor);
  return tensors;
}

}  // namespace

TrainStep::TrainStep(const Objective& objective, std::vector<Parameter> parameters,
                     backend::ShardPool& pool, StepOptions options)
    : objective_(objective),
      parameters_(std::move(parameters)),
      tensors_(tensors_of(parameters_)),
      pool_(pool),
      options_(options),
      shard_pass_(
          objective, tensors_,
          {options.training, !options.adapters || options.adapters->repeats(), options.adapters}) {}

TrainStep::~TrainStep() = default;

StepReport TrainStep::pass(int64_t step, const Batches& micro_batches, Wanted wanted,
                           std::vector<ShardSum>& shards) {
  StepReport report;
  for (const auto& items : micro_batches) {
    report.examples += static_cast<int64_t>(items.size());
    for (const Item& item : items) report.tokens += objective_.set().length(item.index);
  }
  const double share = 1.0 / static_cast<double>(objective_.terms_of(micro_batches));
  const auto count = static_cast<size_t>(pool_.threads());
  const auto processes = static_cast<size_t>(options_.world ? options_.world->size() : 1);
  const size_t first = options_.world ? static_cast<size_t>(options_.world->rank()) * count : 0;

  // A shard for each thread of each process; two processes of one thread are one of two.
  std::vector<std::vector<std::vector<Item>>> cut;
  for (const auto& items : micro_batches)
    cut.push_back(cut_shards(objective_.set(), items, processes * count));
  shards.assign(count, {});
  PhaseClock clock;
  double parallel = 0;
  pool_.run([&](int number) {
    const auto s = static_cast<size_t>(number);
    for (const auto& micro : cut) {
      if (wanted == Wanted::loss)
        shard_pass_.add_loss(micro[first + s], share, shards[s]);
      else
        shard_pass_.add_gradients(micro[first + s], key_of(step), share, shards[s]);
    }
  });
  clock.lap(parallel);
  for (const ShardSum& shard : shards) {
    report.loss += shard.loss;
    if (shard.late_loss.defined() && wanted != Wanted::late_gradients)
      report.loss += shard.late_loss.item<double>();
  }
  report.phases = shards[0].phases;
  if (wanted != Wanted::late_gradients) sum_losses(report);
  report.phases.wait =
      parallel - report.phases.collate - report.phases.forward - report.phases.backward;
  return report;
}

void TrainStep::sum_losses(StepReport& report) const {
  if (options_.world) options_.world->sum({&report.loss, 1});
}

StepReport TrainStep::gradients(int64_t step, const Batches& micro_batches,
                                std::vector<Tensor>& gradients) {
  const torch::NoGradGuard no_grad;
  std::vector<ShardSum> shards;
  StepReport report = pass(step, micro_batches, Wanted::gradients, shards);
  PhaseClock clock;
  gradients = sum_of(shards);
  if (options_.world) options_.world->sum(in_few_pieces(flat_, gradients));
  add_penalty(report, gradients);
  clock.lap(report.phases.update);
  return report;
}

// Sets flat_.
std::vector<Tensor> TrainStep::sum_of(std::vector<ShardSum>& shards) {
  flat_ = shard_pass_.flat(shards[0]);
  std::vector<Tensor> gradients =
      flat_.defined() ? shard_pass_.parts(flat_) : std::vector<Tensor>(tensors_.size());
  // In fixed order: the sum does not depend on which thread was done first.
  for (ShardSum& shard : shards)
    for (size_t i = 0; i < shard.gradients.size(); ++i) {
      if (!shard.gradients[i].defined()) continue;
      if (gradients[i].defined())
        gradients[i].add_(shard.gradients[i]);
      else  // a copy of its own, in the parameter's layout: what follows works in place
        gradients[i] = shard.gradients[i].clone(at::MemoryFormat::Contiguous);
    }
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (!gradients[i].defined()) gradients[i] = torch::zeros_like(tensors_[i]);
  return gradients;
}

void TrainStep::add_penalty(StepReport& report, std::vector<Tensor>& gradients) const {
  const torch::AutoGradMode with_gradients(true);
  const Tensor penalty = add_penalty(report);
  if (!penalty.defined()) return;
  const auto slopes = torch::autograd::grad({penalty}, tensors_, {}, false, false,
                                            /*allow_unused=*/true);
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < slopes.size(); ++i)
    if (slopes[i].defined()) gradients[i].add_(slopes[i]);
}

StepReport TrainStep::loss(int64_t step, const Batches& micro_batches) {
  const torch::NoGradGuard no_grad;
  std::vector<ShardSum> shards;
  StepReport report = pass(step, micro_batches, Wanted::loss, shards);
  add_penalty(report);
  return report;
}

// Adds the method's penalty to the loss; undefined where there is none.
Tensor TrainStep::add_penalty(StepReport& report) const {
  Tensor penalty = options_.adapters ? options_.adapters->penalty() : Tensor();
  if (penalty.defined()) report.loss += penalty.item<double>();
  return penalty;
}

StepReport TrainStep::slope(int64_t step, const Batches& micro_batches,
                            const std::vector<Tensor>& direction, double& slope) {
  const torch::NoGradGuard no_grad;
  const backend::ForwardMode mode(tensors_, direction);
  std::vector<ShardSum> shards;
  StepReport report;
  double of_penalty = 0;
  try {
    report = pass(step, micro_batches, Wanted::loss, shards);
    const Tensor penalty = add_penalty(report);
    if (penalty.defined() && backend::derivative_of(penalty).defined())
      of_penalty = backend::derivative_of(penalty).item<double>();
  } catch (const c10::NotImplementedError& e) {
    fail("/optimizer/name: an operation of this model has no forward rule ({}); use zo_sgd",
         e.what_without_backtrace());
  }
  // a process may have had no example: the sum, and how many shards have added to it
  std::array<double, 2> sums{};
  for (const ShardSum& shard : shards)
    if (shard.slope) sums = {sums[0] + *shard.slope, sums[1] + 1};
  if (options_.world) options_.world->sum(std::span<double>(sums));
  TORCH_INTERNAL_ASSERT(sums[1] > 0, "the loss has lost its derivative");
  slope = sums[0] + of_penalty;
  return report;
}

StepReport TrainStep::run(int64_t step, const Batches& micro_batches, Optimizer& optimizer,
                          double factor, BadStep bad, const Batches* next) {
  if (options_.adapters) factor *= options_.adapters->lr_factor(step);
  if (!optimizer.uses_gradients()) return run_by_loss(step, micro_batches, optimizer, factor);
  if (is_late(optimizer)) return run_late(step, micro_batches, optimizer, factor, bad, next);
  std::vector<Tensor> grads;
  StepReport report = gradients(step, micro_batches, grads);
  const torch::NoGradGuard no_grad;
  PhaseClock clock;
  const std::vector<Tensor> all = in_few_pieces(flat_, grads);
  report.gradient_norm = backend::gradient_norm(all).item<double>();
  if (!is_finite(report)) {
    if (bad == BadStep::stops) explain(step, micro_batches, report, &grads);
    report.skipped = true;
    return report;
  }
  const double by = backend::clip_factor(report.gradient_norm, options_.clip);
  if (by < 1) backend::scale_(all, by);
  if (options_.adapters) options_.adapters->before_update(step, {tensors_, grads});
  optimizer.step(grads, factor);
  finish(step, grads, optimizer);
  clock.lap(report.phases.update);
  return report;
}

// Every look at a loss is a pass over the same examples; the report is of all of them together.
StepReport TrainStep::run_by_loss(int64_t step, const Batches& micro_batches, Optimizer& optimizer,
                                  double factor) {
  const torch::NoGradGuard no_grad;
  StepReport report;
  PhaseClock clock;
  const auto seen = [&](const StepReport& one) {
    if (!is_finite(one)) explain(step, micro_batches, one, nullptr);
    report.examples = one.examples;
    report.tokens = one.tokens;
    report.phases.collate += one.phases.collate;
    report.phases.forward += one.phases.forward;
    report.phases.wait += one.phases.wait;
    return one.loss;
  };
  const auto look = [&] { return seen(loss(step, micro_batches)); };
  const auto look_along = [&](const std::vector<Tensor>& direction) {
    LossSlope found;
    found.loss = seen(slope(step, micro_batches, direction, found.slope));
    return found;
  };
  report.loss = optimizer.step_by_loss({step, options_.seed, factor, look, look_along});
  std::vector<Tensor> none(tensors_.size());
  finish(step, none, optimizer);
  clock.lap(report.phases.update);
  report.phases.update -= report.phases.collate + report.phases.forward + report.phases.wait;
  return report;
}

void TrainStep::finish(int64_t step, std::vector<Tensor>& gradients, Optimizer& optimizer) const {
  if (!options_.adapters) return;
  for (const Tensor& anew : options_.adapters->after_update(step, {tensors_, gradients}))
    for (const Parameter& p : parameters_)
      if (p.tensor.is_same(anew)) forget(optimizer, p.name);
}

void TrainStep::explain(int64_t step, const Batches& micro_batches, const StepReport& report,
                        const std::vector<Tensor>* gradients) const {
  const bool has_dropout = options_.training && gradients;
  NotFinite found{step, report.loss, {}, {}};
  if (gradients) found.gradient_norm = report.gradient_norm;
  found.where = first_bad_layer(objective_, micro_batches, Pass{has_dropout, key_of(step), {}});
  if (found.where.empty() && gradients) found.where = first_bad_gradient(parameters_, *gradients);
  report_not_finite(found, micro_batches);
}

}  // namespace mtlora
