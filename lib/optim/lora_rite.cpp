// LoRA-RITE: an optimizer of pairs A [r, in], B [out, r] that moves B A the same way whichever of
// the pairs with that product holds it. Yen et al. 2024, arXiv:2410.20625, algorithm 1; the rules
// and numbers of the code published with it. With L = Aᵀ, R = B, of either side (here L):
//   L = U_L K_L, R = U_R K_R                                     (QR)
//   ḡ = ∂F/∂L · K_R⁺, 0 where RMS(ḡ) is above a bound; all ḡ together clipped
//   P = U_Rᵀ U_R(before);  V' = P V Pᵀ;  ρ ← β2 (ρ + what escaped of V)
//   V ← β2 V' + (1-β2) ḡᵀḡ / n;  S = ḡ (V + ρI)^(-1/2)
//   M ← β1 M Pᵀ + (1-β1) S;  L ← L - η (M K_R⁺ᵀ + wd·L)
// with n the rows of ḡ and bias-corrected β: β(1-β^(t-1)) / (1-β^t) in step t. Parameters without a
// partner move by AdamW.

#include <cmath>
#include <limits>
#include <set>

#include "lib/core/error.h"
#include "lib/optim/registry.h"
#include "lib/optim/rite_algebra.h"

namespace mtlora {
namespace {

struct LoraRiteOptions {
  double lr = 1e-3, weight_decay = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-6;
  double update_skipping = 1, clip = 1;
  bool escaped_mass = false, divide_by_rows = true, balance = false;

  void fields(Fields& f) {
    f("lr", lr, "Learning rate at the schedule's height.", not_negative());
    f("weight_decay", weight_decay, "Decoupled weight decay; biases and norms do not decay.",
      not_negative());
    f("beta1", beta1, "Decay of the first moment.", at_least_zero_below(1));
    f("beta2", beta2, "Decay of the second moment.", at_least_zero_below(1));
    f("epsilon", epsilon,
      "Added to the roots of the pairs' second moments; AdamW of the other parameters adds its own "
      "default.",
      positive());
    f("update_skipping", update_skipping,
      "A factor whose unmagnified gradient has a larger root mean square does not count in this "
      "step; 0: none. In the authors' code, not in the paper.",
      not_negative());
    f("clip", clip,
      "Largest norm of all unmagnified gradients together; 0: none. In the authors' code, not in "
      "the paper. They train without the clipping of all gradients before it: train.clip 0.",
      not_negative());
    f("escaped_mass", escaped_mass,
      "Make up for what the second moment loses when its basis turns: in the paper, off in the "
      "authors' code.");
    f("divide_by_rows", divide_by_rows,
      "The second moment is a mean over rows, as in the authors' code, whose learning rates belong "
      "to it; else a sum.");
    f("balance", balance, "After a step, scale each pair to equal norms, its product unchanged.");
  }
};

double bias_corrected(double beta, double t) {
  return beta * (1 - std::pow(beta, t - 1)) / (1 - std::pow(beta, t));
}

// One factor of a pair as [n, r], and what is remembered of it, in its own type.
struct Side {
  size_t index;  // among all parameters
  Parameter parameter;
  bool is_down;                                // A, which is the transpose
  Tensor first, second, basis, escaped, step;  // M, V, U(before), ρ, t

  Tensor tall(const Tensor& x) const { return (is_down ? x.t() : x).to(torch::kDouble); }
  void write(const Tensor& value) const { parameter.tensor.copy_(is_down ? value.t() : value); }
};

struct Pair {
  Side left, right;
};

// What a step sees of a side.
struct Sight {
  Tensor factor, gradient;  // L, ḡ
  rite::Decomposed as;
};

class LoraRite final : public Optimizer {
 public:
  LoraRite(const LoraRiteOptions& options, std::vector<Parameter> parameters) : options_(options) {
    std::set<size_t> paired;
    std::vector<Parameter> others;
    for (size_t i = 0; i < parameters.size(); ++i)
      if (const auto partner = parameters[i].partner) add_pair(parameters, i, *partner, paired);
    if (pairs_.empty())
      fail(
          "/optimizer/name: lora_rite moves the two factors of a low-rank change together, and "
          "this "
          "adapter method trains no such pair; use adamw");
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (paired.contains(i)) continue;
      alone_.push_back(i);
      parameters[i].partner.reset();
      others.push_back(parameters[i]);
    }
    others_ = make_optimizer({"adamw",
                              {{"lr", options.lr},
                               {"weight_decay", options.weight_decay},
                               {"beta1", options.beta1},
                               {"beta2", options.beta2}}},
                             others);
    for (auto& tensor : others_->state()) state_.push_back(tensor);
  }

  void step(const std::vector<Tensor>& gradients, double factor) override {
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> of_others;
    for (const size_t i : alone_) of_others.push_back(gradients[i]);
    others_->step(of_others, factor);
    std::vector<std::pair<Sight, Sight>> seen;
    for (const Pair& pair : pairs_) seen.push_back(look(pair, gradients));
    clip(seen);
    for (size_t i = 0; i < pairs_.size(); ++i)
      move(pairs_[i], seen[i].first, seen[i].second, options_.lr * factor);
  }
  std::vector<std::pair<std::string, Tensor>> state() override { return state_; }
  double lr() const override { return options_.lr; }

 private:
  void add_pair(const std::vector<Parameter>& parameters, size_t down, size_t up,
                std::set<size_t>& paired) {
    const Parameter &a = parameters[down], &b = parameters[up];
    if (!paired.insert(down).second || !paired.insert(up).second)
      fail(
          "/optimizer/name: lora_rite moves pairs, but {} and {} belong to more than one product; "
          "use adamw",
          a.name, b.name);
    if (a.tensor.size(1) < a.tensor.size(0) || b.tensor.size(0) < b.tensor.size(1))
      fail(
          "/optimizer/name: lora_rite needs layers at least as wide as the rank, but {} is {} and "
          "{} is {}; choose a smaller rank, or use adamw",
          a.name, fmt::join(a.tensor.sizes(), " x "), b.name, fmt::join(b.tensor.sizes(), " x "));
    pairs_.push_back({side(a, down, true), side(b, up, false)});
  }

  Side side(const Parameter& p, size_t index, bool is_down) {
    const Tensor tensor = p.tensor.detach();
    const int64_t rank = tensor.size(is_down ? 0 : 1), rows = tensor.size(is_down ? 1 : 0);
    const auto start = [&](const char* what, at::IntArrayRef sizes) {
      state_.emplace_back(what + ("/" + p.name), torch::zeros(sizes, tensor.options()));
      return state_.back().second;
    };
    Side s{index,
           p,
           is_down,
           start("first_moment", {rows, rank}),
           start("second_moment", {rank, rank}),
           start("basis", {rows, rank}),
           start("escaped_mass", {}),
           start("step", {})};
    s.parameter.tensor = tensor;
    return s;
  }

  std::pair<Sight, Sight> look(const Pair& pair, const std::vector<Tensor>& gradients) const {
    const auto of = [&](const Side& side) {
      const Tensor factor = side.tall(side.parameter.tensor);
      const double rounding = side.parameter.tensor.scalar_type() == torch::kDouble
                                  ? std::numeric_limits<double>::epsilon()
                                  : static_cast<double>(std::numeric_limits<float>::epsilon());
      return Sight{factor, side.tall(gradients[side.index]), rite::decomposed(factor, rounding)};
    };
    Sight left = of(pair.left), right = of(pair.right);
    left.gradient = unmagnified(left.gradient, right.as.inverse);
    right.gradient = unmagnified(right.gradient, left.as.inverse);
    return {left, right};
  }

  // ḡ, which does not depend on the other factor's size.
  Tensor unmagnified(const Tensor& gradient, const Tensor& inverse) const {
    const Tensor g = gradient.mm(inverse);
    const bool is_skipped = options_.update_skipping > 0 &&
                            g.square().mean().sqrt().item<double>() > options_.update_skipping;
    return is_skipped ? torch::zeros_like(g) : g;
  }

  void clip(std::vector<std::pair<Sight, Sight>>& seen) const {
    if (options_.clip == 0) return;
    double sum = 0;
    for (const auto& [left, right] : seen)
      sum += (left.gradient.square().sum() + right.gradient.square().sum()).item<double>();
    if (std::sqrt(sum) <= options_.clip) return;
    for (auto& [left, right] : seen) {
      left.gradient.mul_(options_.clip / std::sqrt(sum));
      right.gradient.mul_(options_.clip / std::sqrt(sum));
    }
  }

  void move(const Pair& pair, const Sight& left, const Sight& right, double lr) const {
    const Tensor turn_left = turned(right, pair.right), turn_right = turned(left, pair.left);
    Tensor l = moved(pair.left, left, turn_left, right.as.inverse, lr);
    Tensor r = moved(pair.right, right, turn_right, left.as.inverse, lr);
    if (options_.balance && lr > 0) balance(l, r);
    pair.left.write(l);
    pair.right.write(r);
    pair.left.basis.copy_(left.as.basis);
    pair.right.basis.copy_(right.as.basis);
  }

  // P: from the other factor's basis of the step before to its basis now.
  static Tensor turned(const Sight& other, const Side& side) {
    return other.as.basis.t().mm(side.basis.to(torch::kDouble));
  }

  // The factor after the step; its moments go along.
  Tensor moved(const Side& side, const Sight& sight, const Tensor& turn, const Tensor& inverse,
               double lr) const {
    side.step.add_(1);
    const double t = side.step.item<double>();
    const double beta1 = bias_corrected(options_.beta1, t);
    const double beta2 = bias_corrected(options_.beta2, t);
    const Tensor& g = sight.gradient;
    const Tensor before = side.second.to(torch::kDouble);
    Tensor v = rite::transported(before, turn);
    if (options_.escaped_mass) side.escaped.add_(rite::escaped_mass(before, v)).mul_(beta2);
    const double rows = options_.divide_by_rows ? static_cast<double>(g.size(0)) : 1;
    v = beta2 * v + (1 - beta2) / rows * g.t().mm(g);
    const Tensor step =
        g.mm(rite::inverse_root(v, side.escaped.to(torch::kDouble), options_.epsilon));
    const Tensor m = beta1 * side.first.to(torch::kDouble).mm(turn.t()) + (1 - beta1) * step;
    side.second.copy_(v);
    side.first.copy_(m);
    const double own_lr = lr * side.parameter.lr_scale;
    const double decay = side.parameter.decays ? options_.weight_decay : 0;
    return sight.factor - own_lr * (m.mm(inverse.t()) + decay * sight.factor);
  }

  static void balance(Tensor& l, Tensor& r) {
    const Tensor a = l.norm() + 1e-6, b = r.norm() + 1e-6, both = (a * b).sqrt();
    l = l * (both / a);
    r = r * (both / b);
  }

  LoraRiteOptions options_;
  std::vector<Pair> pairs_;
  std::vector<size_t> alone_;  // what the others are among all parameters
  std::unique_ptr<Optimizer> others_;
  std::vector<std::pair<std::string, Tensor>> state_;
};

}  // namespace

OptimizerEntry lora_rite() {
  return {{"lora_rite",
           "Moves the two factors of a low-rank change so that their product moves the same way "
           "however it is factored; other parameters by AdamW. MTLoRA's product holds a T between "
           "the two, which goes by AdamW: there this is so for T = I only.",
           default_visit<LoraRiteOptions>()},
          [](const Json& options, std::vector<Parameter> parameters) {
            return std::make_unique<LoraRite>(parse<LoraRiteOptions>(options, "/optimizer"),
                                              std::move(parameters));
          },
          "ḡ = g·K⁺ of the other factor; S = ḡ·V^(-1/2), with moments in the factors' own bases; "
          "A, B ← A, B - η·M·K⁻ᵀ",
          "Yen et al. 2024, arXiv:2410.20625"};
}

}  // namespace mtlora
