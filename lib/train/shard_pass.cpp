#include "lib/train/shard_pass.h"

#include <utility>

#include "lib/backend/forward_mode.h"

namespace mtlora {
namespace {

// Out of place: two parameters may share one gradient tensor (DTSM's C and D do).
void add(std::vector<Tensor>& gradients, const std::vector<Tensor>& more) {
  gradients.resize(more.size());
  for (size_t i = 0; i < more.size(); ++i)
    if (more[i].defined()) gradients[i] = gradients[i].defined() ? gradients[i] + more[i] : more[i];
}

}  // namespace

ShardPass::ShardPass(const Objective& objective, std::vector<Tensor> tensors,
                     DevicePassOptions options)
    : objective_(objective), tensors_(std::move(tensors)), training_(options.training) {
  if (backend::is_apart(objective_.device()) && !tensors_.empty())
    device_pass_ = std::make_unique<DevicePass>(objective_, tensors_, options);
}

void ShardPass::add_gradients(const std::vector<Item>& items, uint64_t key, double share,
                              ShardSum& sum) const {
  if (items.empty()) return;
  const torch::AutoGradMode with_gradients(true);
  PhaseClock clock;
  const Batch batch = objective_.collate(items);
  clock.lap(sum.phases.collate);
  if (device_pass_) {
    add_on_device(batch, key, share, sum);
    clock.lap(sum.phases.forward);
    return;
  }
  const Tensor shared = objective_.loss(batch, {training_, key, batch.rows}) * share;
  clock.lap(sum.phases.forward);
  const auto gradients =
      torch::autograd::grad({shared}, tensors_, {}, /*retain_graph=*/false, /*create_graph=*/false,
                            /*allow_unused=*/true);
  sum.loss += static_cast<double>(shared.item<float>());
  add(sum.gradients, gradients);
  clock.lap(sum.phases.backward);
}

void ShardPass::add_on_device(const Batch& batch, uint64_t key, double share, ShardSum& sum) const {
  const torch::NoGradGuard no_grad;
  const PassResult found = device_pass_->run(batch, key, share);
  const Tensor loss = found.loss.to(torch::kDouble);
  sum.late_loss = sum.late_loss.defined() ? sum.late_loss + loss : loss;
  // Of a copy: the next pass writes where this one did.
  sum.flat = sum.flat.defined() ? sum.flat.add_(found.flat) : found.flat.clone();
}

void ShardPass::add_loss(const std::vector<Item>& items, double share, ShardSum& sum) const {
  if (items.empty()) return;
  const torch::NoGradGuard no_grad;
  PhaseClock clock;
  const Batch batch = objective_.batch(items);
  clock.lap(sum.phases.collate);
  const Tensor loss = objective_.loss(batch, {false, 0, batch.rows}) * share;
  sum.loss += static_cast<double>(loss.item<float>());
  if (const Tensor slope = backend::derivative_of(loss); slope.defined())
    sum.slope = sum.slope.value_or(0) + slope.item<double>();
  clock.lap(sum.phases.forward);
}

Tensor ShardPass::flat(const ShardSum& sum) const {
  if (!device_pass_) return {};
  return sum.flat.defined() ? sum.flat : device_pass_->nothing();
}

}  // namespace mtlora
