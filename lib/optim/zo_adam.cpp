// ZO-Adam: Adam of the estimate. m ← β1 m + (1-β1) ĝ; v ← β2 v + (1-β2) ĝ²;
// θ ← θ - η (m̂ / (√v̂ + ε_adam) + wd·θ), with bias-corrected m̂ and v̂. Zhang et al. 2024 (ZO-Bench),
// arXiv:2402.11592; the decay is AdamW's.

#include "lib/backend/optimizer_ops.h"
#include "lib/optim/zeroth_order.h"

namespace mtlora {
namespace {

struct AdamOptions : ZerothOrderOptions {
  double beta1 = 0.9, beta2 = 0.999, adam_epsilon = 1e-8;

  void fields(Fields& f) {
    ZerothOrderOptions::fields(f);
    f("beta1", beta1, "Decay of the first moment.", at_least_zero_below(1));
    f("beta2", beta2, "Decay of the second moment.", at_least_zero_below(1));
    f("adam_epsilon", adam_epsilon, "Added to the root of the second moment.", positive());
  }
};

class ZerothOrderAdam final : public GaussianOrder {
 public:
  ZerothOrderAdam(const AdamOptions& options, std::vector<Parameter> parameters)
      : GaussianOrder(options, std::move(parameters)), adam_(options) {
    for (size_t p = 0; p < this->parameters().size(); ++p)
      moments_.push_back(
          {remember("exp_avg", p), remember("exp_avg_sq", p), remember("step", p, {})});
  }

 private:
  struct Moments {
    Tensor first, second, steps;
  };

  void update(const LossStep& step, const Estimate& estimate) override {
    GaussianOrder::update(step, estimate);
    for (const Moments& m : moments_) m.steps.add_(1);
  }
  void rule(const Block& block) override {
    const Moments& m = moments_[block.parameter];
    // each block counts up a count of its own
    backend::fused_adamw({{block.values},
                          {block.estimate},
                          {block.of(m.first)},
                          {block.of(m.second)},
                          {m.steps.to(torch::kFloat, /*non_blocking=*/false, /*copy=*/true)}},
                         {block.lr, adam_.beta1, adam_.beta2, adam_.adam_epsilon, 0});
  }

  AdamOptions adam_;
  std::vector<Moments> moments_;
};

}  // namespace

OptimizerEntry zo_adam() {
  return zeroth_order<AdamOptions, ZerothOrderAdam>(
      {"zo_adam",
       "Adam of the estimate that zo_sgd moves by; keeps two moments of every trained number.",
       "ĝ = c·u; m ← β1·m + (1 - β1)·ĝ, v ← β2·v + (1 - β2)·ĝ²; θ ← θ - η·m̂/(√v̂ + ε)",
       "Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592"});
}

}  // namespace mtlora
