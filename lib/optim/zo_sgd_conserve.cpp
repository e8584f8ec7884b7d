// Conservative ZO-SGD: of θ, θ - ηĝ and θ + ηĝ the one with the lowest loss on the same examples.
// Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592. Ties as in the code published with it: θ stays
// only where its loss is strictly the least; else θ - ηĝ where it is strictly better than θ + ηĝ.

#include "lib/optim/zeroth_order.h"

namespace mtlora {
namespace {

class Conserve final : public GaussianOrder {
 public:
  using GaussianOrder::GaussianOrder;

 private:
  void update(const LossStep& step, const Estimate& estimate) override {
    move(step, options().directions - 1, -estimate.displaced);
    Estimate back = estimate;
    back.displaced = 0;
    const double stay = options().one_sided ? estimate.loss : step.loss();
    const double down = loss_after(step, back, {0, 1});
    const double up = loss_after(step, back, {1, -1});
    if (stay < down && stay < up)
      walk(step, back, {-1, 0});
    else
      walk(step, back, {-1, down < up ? 1.0 : -1.0, true});
  }

  // Both ends in steps of -ηĝ from θ.
  struct Walk {
    double from, to;
    bool decays = false;
  };

  double loss_after(const LossStep& step, const Estimate& estimate, const Walk& walked) {
    walk(step, estimate, walked);
    try {
      return step.loss();
    } catch (...) {
      walk(step, estimate, {walked.to, 0});
      throw;
    }
  }

  void walk(const LossStep& step, const Estimate& estimate, const Walk& walk) {
    visit(step, estimate, [&](const Block& b) {
      double from = walk.from;
      if (walk.decays && options().weight_decay > 0) {
        b.values.add_(b.estimate, std::exchange(from, 0) * b.lr);
        decay(b);
      }
      b.values.add_(b.estimate, (from - walk.to) * b.lr);
    });
  }
};

}  // namespace

OptimizerEntry zo_sgd_conserve() {
  return zeroth_order<ZerothOrderOptions, Conserve>(
      {"zo_sgd_conserve", "zo_sgd that looks at three more losses and takes the best step.",
       "θ ← the one of θ, θ - η·ĝ and θ + η·ĝ with the lowest loss",
       "Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592"});
}

}  // namespace mtlora
