// Forward gradients: θ ← θ - η (j·u + wd·θ) with j = ∇F·u by forward-mode differentiation, u ~
// N(0, I): no backward pass and no difference of losses, at the price of the directions themselves
// and of the plain operations, which know the forward rules. Baydin et al. 2022, arXiv:2202.08587,
// algorithm 1; Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592.

#include "lib/optim/zeroth_order.h"

namespace mtlora {
namespace {

struct ForwardOptions {
  double lr = 1e-6, weight_decay = 0;
  int64_t directions = 1;

  void fields(Fields& f) {
    f("lr", lr,
      "Learning rate at the schedule's height; of the same size as zo_sgd's (the default is our "
      "choice). The published runs keep it constant: schedule.name constant, schedule.warmup 0.",
      not_negative());
    f("directions", directions, "Random directions a step; the estimate is their mean.",
      at_least(1));
    f("weight_decay", weight_decay, "Decoupled weight decay; biases and norms do not decay.",
      not_negative());
  }
};

class ForwardGradient final : public GaussianOrder {
 public:
  ForwardGradient(const ForwardOptions& options, std::vector<Parameter> parameters)
      : GaussianOrder({.lr = options.lr,
                       .weight_decay = options.weight_decay,
                       .directions = options.directions},
                      std::move(parameters)) {}

 private:
  Estimate estimate(const LossStep& step) override {
    Estimate out;
    for (int64_t i = 0; i < options().directions; ++i) {
      std::vector<Tensor> along;
      for (size_t p = 0; p < parameters().size(); ++p) along.push_back(direction(step, i, p));
      const LossSlope found = step.slope(along);
      out.slopes.push_back(found.slope);
      out.loss = found.loss;  // the same for every direction
    }
    return out;
  }
};

}  // namespace

OptimizerEntry forward_grad() {
  return zeroth_order<ForwardOptions, ForwardGradient>(
      {"forward_grad",
       "Descent by the exact slope along a random direction, from one forward pass in forward-mode "
       "differentiation.",
       "u ~ N(0, I), j = ∇F·u; θ ← θ - η·(j·u + wd·θ)", "Baydin et al. 2022, arXiv:2202.08587"});
}

}  // namespace mtlora
