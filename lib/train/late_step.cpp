// A training step on a device without a wait: the device itself finds whether loss and gradients
// are finite, clips, and leaves the update out where they are not; the CPU looks at the numbers
// while the device is busy with the next step.
#include "lib/train/late_step.h"

#include "lib/backend/cuda/runtime.h"
#include "lib/backend/optimizer_ops.h"

namespace mtlora {
namespace {

/// Numbers on their way from a device to the CPU.
class LateNumbers {
 public:
  explicit LateNumbers(const Tensor& numbers) {
    if (!numbers.is_cuda()) {
      host_ = numbers;
      return;
    }
    host_ =
        torch::empty(numbers.sizes(), numbers.options().device(torch::kCPU).pinned_memory(true));
    host_.copy_(numbers, /*non_blocking=*/true);
    there_ = std::make_unique<backend::cuda::Moment>();
  }
  double operator[](int64_t i) const {
    if (there_) there_->wait();
    return host_[i].item<double>();
  }

 private:
  Tensor host_;
  std::unique_ptr<backend::cuda::Moment> there_;
};

}  // namespace

bool TrainStep::is_late(const Optimizer& optimizer) const {
  const bool waits_for_sums = options_.world && options_.world->size() > 1 &&
                              !options_.world->sums_on_devices() && !options_.as_on_device;
  const bool is_plain = !options_.adapters || !options_.adapters->acts_on_steps();
  return (objective_.device().is_cuda() || options_.as_on_device) && !waits_for_sums && is_plain &&
         optimizer.can_be_skipped() && !tensors_.empty();
}

TrainStep::Asked TrainStep::ask(int64_t step, const Batches& micro_batches) {
  std::vector<ShardSum> shards;
  Asked asked{
      step, micro_batches, pass(step, micro_batches, Wanted::late_gradients, shards), {}, {}, {}};
  PhaseClock clock;
  const auto on_device = torch::TensorOptions(torch::kDouble).device(objective_.device());
  // Each operation is a kernel on a device: a sum of one is not asked for.
  const auto add = [&](const Tensor& loss) {
    asked.loss = asked.loss.defined() ? asked.loss + loss : loss;
  };
  for (const ShardSum& shard : shards)
    if (shard.late_loss.defined()) add(shard.late_loss);
  if (asked.report.loss != 0 || !asked.loss.defined())
    add(torch::full({}, asked.report.loss, on_device));
  asked.gradients = sum_of(shards);
  asked.flat = flat_;
  sum_later(asked);
  clock.lap(asked.report.phases.update);
  return asked;
}

// One sum for all: the loss is beside the gradients.
void TrainStep::sum_later(Asked& asked) const {
  if (!options_.world || options_.world->size() == 1) return;
  std::vector<Tensor> all = in_few_pieces(asked.flat, asked.gradients);
  all.push_back(asked.loss);
  options_.world->sum_later(all);
}

StepReport TrainStep::run_late(int64_t step, const Batches& micro_batches, Optimizer& optimizer,
                               double factor, BadStep bad, const Batches* next) {
  const torch::NoGradGuard no_grad;
  if (!asked_) asked_ = std::make_unique<Asked>(ask(step, micro_batches));
  const std::unique_ptr<Asked> mine = std::move(asked_);
  TORCH_INTERNAL_ASSERT(mine->step == step, "another step was asked for");
  StepReport report = mine->report;
  PhaseClock clock;
  const std::vector<Tensor> all = in_few_pieces(mine->flat, mine->gradients);
  const backend::Verdict verdict = backend::judge(all, mine->loss, options_.clip);
  if (options_.clip > 0) backend::scale_(all, verdict.factor);
  optimizer.step_unless(verdict.skipped, mine->gradients, factor);
  const LateNumbers numbers(verdict.numbers);
  clock.lap(report.phases.update);
  if (next) asked_ = std::make_unique<Asked>(ask(step + 1, *next));
  PhaseClock waiting;
  report.loss = numbers[0];
  report.gradient_norm = numbers[1];
  if (options_.world) options_.world->check_later_sums();
  waiting.lap(report.phases.wait);
  if (!is_finite(report)) {
    if (bad == BadStep::stops) explain(step, mine->micro_batches, report, &mine->gradients);
    report.skipped = true;
  }
  return report;
}

}  // namespace mtlora
