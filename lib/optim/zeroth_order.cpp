#include "lib/optim/zeroth_order.h"

#include <algorithm>

#include "lib/core/random.h"
#include "lib/optim/gaussian.h"

namespace mtlora {

void ZerothOrderOptions::fields(Fields& f) {
  f("lr", lr,
    "Learning rate at the schedule's height. MeZO's for OPT-13B: 1e-6 or 1e-7 for full "
    "fine-tuning, 1e-4 or 5e-5 for LoRA. The published runs keep it constant: schedule.name "
    "constant, schedule.warmup 0.",
    not_negative());
  f("epsilon", epsilon,
    "How far the parameters are moved to see the loss's slope. MeZO's: 1e-3 for full fine-tuning, "
    "1e-2 for LoRA.",
    positive());
  f("directions", directions, "Random directions a step; the estimate is their mean.", at_least(1));
  f("one_sided", one_sided, "c = (F(θ + εu) - F(θ)) / ε instead of both sides.");
  f("weight_decay", weight_decay, "Decoupled weight decay; biases and norms do not decay.",
    not_negative());
}

ZerothOrder::ZerothOrder(const ZerothOrderOptions& options, std::vector<Parameter> parameters)
    : options_(options), parameters_(std::move(parameters)) {
  for (Parameter& p : parameters_) {
    p.tensor = p.tensor.detach();
    TORCH_INTERNAL_ASSERT(p.tensor.is_contiguous(), "directions are drawn over plain memory");
  }
}

double ZerothOrder::lr_of(const LossStep& step, size_t parameter) const {
  return options_.lr * step.factor * parameters_[parameter].lr_scale;
}

double ZerothOrder::decay_of(size_t parameter) const {
  return parameters_[parameter].decays ? options_.weight_decay : 0;
}

Tensor ZerothOrder::remember(const std::string& what, size_t parameter) {
  return remember(what, parameter, parameters_[parameter].tensor.sizes());
}

Tensor ZerothOrder::remember(const std::string& what, size_t parameter, at::IntArrayRef sizes) {
  const Parameter& p = parameters_[parameter];
  const Tensor start = torch::zeros(sizes, p.tensor.options().requires_grad(false));
  state_.emplace_back(what + "/" + p.name, start);
  return start;
}

uint64_t ZerothOrder::key_of(uint64_t seed, int64_t when, int64_t number, size_t parameter) const {
  const uint64_t of_run = combine(seed, name_key(parameters_[parameter].name));
  return combine(combine(of_run, static_cast<uint64_t>(when)), static_cast<uint64_t>(number));
}

double ZerothOrder::step_by_loss(const LossStep& step) {
  const torch::NoGradGuard no_grad;
  begin(step);
  if (step.factor * options_.lr == 0) return step.loss();
  const Estimate found = estimate(step);
  update(step, found);
  return found.loss;
}

Estimate ZerothOrder::estimate(const LossStep& step) {
  Estimate out;
  const double epsilon = options_.epsilon;
  const auto count = static_cast<double>(options_.directions);
  const double here = options_.one_sided ? step.loss() : 0;
  // The loss at θ + at · u; where there is none, θ is as it was.
  const auto look = [&](int64_t number, double at) {
    move(step, number, at - out.displaced);
    out.displaced = at;
    try {
      return step.loss();
    } catch (...) {
      move(step, number, -at);
      throw;
    }
  };
  for (int64_t i = 0; i < options_.directions; ++i) {
    if (i > 0) move(step, i - 1, -std::exchange(out.displaced, 0));
    const double ahead = look(i, epsilon);
    const double behind = options_.one_sided ? here : look(i, -epsilon);
    out.slopes.push_back((ahead - behind) / (options_.one_sided ? epsilon : 2 * epsilon));
    out.loss += (options_.one_sided ? here : (ahead + behind) / 2) / count;
  }
  return out;
}

template <class Visit>
void GaussianOrder::for_each_block(Visit&& visit) const {
  for (size_t p = 0; p < parameters().size(); ++p) {
    const Tensor flat = parameters()[p].tensor.view({-1});
    for (int64_t begin = 0; begin < flat.numel(); begin += kGaussianBlock) {
      const int64_t size = std::min(kGaussianBlock, flat.numel() - begin);
      visit(Block{p, begin, size, flat.narrow(0, begin, size), {}, 0});
    }
  }
}

Tensor GaussianOrder::drawn(const LossStep& step, int64_t number, const Block& block) const {
  return gaussian_block(key_of(step.seed, step.index, number, block.parameter),
                        block.begin / kGaussianBlock, block.size)
      .to(block.values.options());
}

Tensor GaussianOrder::direction(const LossStep& step, int64_t number, size_t parameter) const {
  const Tensor& like = parameters()[parameter].tensor;
  return gaussian(key_of(step.seed, step.index, number, parameter), like.sizes())
      .to(like.options());
}

void GaussianOrder::move(const LossStep& step, int64_t number, double by) {
  for_each_block([&](const Block& b) { b.values.add_(drawn(step, number, b), by); });
}

void GaussianOrder::visit(const LossStep& step, const Estimate& estimate,
                          const std::function<void(const Block&)>& each) {
  const auto count = static_cast<double>(estimate.slopes.size());
  for_each_block([&](Block block) {
    for (size_t i = 0; i < estimate.slopes.size(); ++i) {
      const Tensor u = drawn(step, static_cast<int64_t>(i), block);
      if (i + 1 == estimate.slopes.size() && estimate.displaced != 0)
        block.values.sub_(u, estimate.displaced);
      const double factor = weight_of(estimate.slopes[i]) / count;
      block.estimate = i == 0 ? u * factor : block.estimate.add_(u, factor);
    }
    block.lr = lr_of(step, block.parameter);
    each(block);
  });
}

void GaussianOrder::update(const LossStep& step, const Estimate& estimate) {
  visit(step, estimate, [this](const Block& block) {
    decay(block);
    rule(block);
  });
}

void GaussianOrder::decay(const Block& block) const {
  const double share = block.lr * decay_of(block.parameter);
  if (share > 0) block.values.mul_(1 - share);
}

void GaussianOrder::rule(const Block& block) {
  block.values.sub_(block.estimate, block.lr);
}

}  // namespace mtlora
