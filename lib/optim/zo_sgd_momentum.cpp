// ZO-SGD with momentum: m ← μ m + ĝ; θ ← θ - η (m + wd·θ), m = 0 at first. Zhang et al. 2024
// (ZO-Bench), arXiv:2402.11592; momentum as torch.optim.SGD's, without dampening.

#include "lib/optim/zeroth_order.h"

namespace mtlora {
namespace {

struct MomentumOptions : ZerothOrderOptions {
  double momentum = 0.9;

  void fields(Fields& f) {
    ZerothOrderOptions::fields(f);
    f("momentum", momentum, "Share of the last update in the next.", at_least_zero_below(1));
  }
};

class Momentum final : public GaussianOrder {
 public:
  Momentum(const MomentumOptions& options, std::vector<Parameter> parameters)
      : GaussianOrder(options, std::move(parameters)), momentum_(options.momentum) {
    for (size_t p = 0; p < this->parameters().size(); ++p)
      buffers_.push_back(remember("momentum", p));
  }

 private:
  void rule(const Block& block) override {
    const Tensor m = block.of(buffers_[block.parameter]);
    m.mul_(momentum_).add_(block.estimate);
    block.values.sub_(m, block.lr);
  }

  double momentum_;
  std::vector<Tensor> buffers_;
};

}  // namespace

OptimizerEntry zo_sgd_momentum() {
  return zeroth_order<MomentumOptions, Momentum>(
      {"zo_sgd_momentum", "zo_sgd with momentum.", "m ← μ·m + ĝ; θ ← θ - η·m",
       "Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592"});
}

}  // namespace mtlora
