// ZO-SGD by signs: θ ← θ - η (sign(ĝ) + wd·θ), element by element. Liu et al. 2019 (signSGD via
// zeroth-order oracle), ICLR; Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592. The code published
// with the latter takes sign(c)·u instead: the option `scalar`.

#include "lib/optim/zeroth_order.h"

namespace mtlora {
namespace {

struct SignOptions : ZerothOrderOptions {
  bool scalar = false;

  void fields(Fields& f) {
    ZerothOrderOptions::fields(f);
    f("scalar", scalar,
      "Take the sign of the slope, sign(c)·u, as ZO-Bench's code does, instead of the sign of "
      "every "
      "element, as its paper does.");
  }
};

class Sign final : public GaussianOrder {
 public:
  Sign(const SignOptions& options, std::vector<Parameter> parameters)
      : GaussianOrder(options, std::move(parameters)), scalar_(options.scalar) {}

 private:
  double weight_of(double slope) const override {
    if (!scalar_) return slope;
    return slope > 0 ? 1 : slope < 0 ? -1 : 0;
  }
  void rule(const Block& block) override {
    if (!scalar_) block.estimate.sign_();
    GaussianOrder::rule(block);
  }

  bool scalar_;
};

}  // namespace

OptimizerEntry zo_sgd_sign() {
  return zeroth_order<SignOptions, Sign>(
      {"zo_sgd_sign", "zo_sgd that moves every number by the sign of its estimate.",
       "θ ← θ - η·sign(ĝ)", "Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592"});
}

}  // namespace mtlora
