// LOZO: zeroth-order descent along directions of low rank. For a matrix X [m, n] the direction is
// U Vᵀ with U [m, r] drawn every step and V [n, r] every ν steps, both N(0, 1); for a vector u ~
// N(0, I) (read V = 1 and n = 1 below).
//   LOZO    X ← X - η (κ c U Vᵀ + wd·X)
//   LOZO-M  N ← β N + (1-β) κ c U, at first N = κ c U;  X ← X - η (N Vᵀ + wd·X)
//           and where V is drawn anew, before that: N ← N (V_oldᵀ V_new) / n
// Chen et al. 2024, arXiv:2410.07698, algorithms 1 and 2. κ = 1 as in the code published with it;
// E⟨G, UVᵀ⟩UVᵀ = r G, so κ = 1/r (the option `unbiased`) is free of bias. Two faults of that code
// are not repeated: the U of the update is the U of the perturbation in every step, and ν = 1
// carries the momentum.

#include "lib/core/random.h"
#include "lib/optim/gaussian.h"
#include "lib/optim/zeroth_order.h"

namespace mtlora {
namespace {

struct LozoOptions : ZerothOrderOptions {
  int64_t rank = 4, interval = 50;
  bool unbiased = false;

  void fields(Fields& f) {
    ZerothOrderOptions::fields(f);
    f("rank", rank,
      "Rank of a matrix's direction. The paper's: 1 or 2 for OPT-13B, 4 or 8 for RoBERTa-large.",
      at_least(1));
    f("interval", interval, "Steps that share one V. The paper's: 50 or 100.", at_least(1));
    f("unbiased", unbiased,
      "Divide a matrix's estimate by the rank, which makes it unbiased; the published learning "
      "rates belong to false.");
  }
};

struct LozoMomentumOptions : LozoOptions {
  double momentum = 0.9;

  void fields(Fields& f) {
    LozoOptions::fields(f);
    f("momentum", momentum, "Share of the last update in the next.", at_least_zero_below(1));
  }
};

// U, V and N are matrices for tensors of two and more dimensions, the first against the others.
class Lozo : public ZerothOrder {
 public:
  Lozo(const LozoOptions& options, std::vector<Parameter> parameters)
      : ZerothOrder(options, std::move(parameters)), lozo_(options) {}

 protected:
  bool is_matrix(size_t p) const { return tensor(p).dim() >= 2; }
  const Tensor& tensor(size_t p) const { return parameters()[p].tensor; }
  // [m, r], or the vector's own shape.
  std::vector<int64_t> factor_sizes(size_t p) const {
    if (is_matrix(p)) return {tensor(p).size(0), lozo_.rank};
    return tensor(p).sizes().vec();
  }
  // V of the steps around `step`, [n, r].
  Tensor v_of(const LossStep& step, int64_t index, size_t p) const {
    const uint64_t key = combine(key_of(step.seed, index / lozo_.interval, 0, p), name_key("V"));
    const int64_t n = tensor(p).numel() / std::max<int64_t>(1, tensor(p).size(0));
    return gaussian(key, {n, lozo_.rank}).to(tensor(p).options());
  }
  // κ/q Σ c_i U_i, what N would be without a momentum.
  Tensor mean_factor(const LossStep& step, const Estimate& estimate, size_t p) const {
    const double kappa = lozo_.unbiased && is_matrix(p) ? 1.0 / static_cast<double>(lozo_.rank) : 1;
    const auto count = static_cast<double>(estimate.slopes.size());
    Tensor sum = torch::zeros(factor_sizes(p), tensor(p).options());
    for (size_t i = 0; i < estimate.slopes.size(); ++i)
      sum.add_(u_of(step, static_cast<int64_t>(i), p), kappa * estimate.slopes[i] / count);
    return sum;
  }
  // N of this step.
  virtual Tensor factor(const LossStep& step, const Estimate& estimate, size_t p) {
    return mean_factor(step, estimate, p);
  }

  void move(const LossStep& step, int64_t number, double by) final {
    for (size_t p = 0; p < parameters().size(); ++p)
      add(step, p, {1, u_of(step, number, p).mul_(by)});
  }
  void update(const LossStep& step, const Estimate& estimate) final {
    const auto last = static_cast<int64_t>(estimate.slopes.size()) - 1;
    for (size_t p = 0; p < parameters().size(); ++p) {
      const double lr = lr_of(step, p), keep = 1 - lr * decay_of(p);
      Tensor by = factor(step, estimate, p) * -lr;
      if (estimate.displaced != 0) by.sub_(u_of(step, last, p), keep * estimate.displaced);
      add(step, p, {keep, by});
    }
  }

 private:
  Tensor u_of(const LossStep& step, int64_t number, size_t p) const {
    return gaussian(key_of(step.seed, step.index, number, p), factor_sizes(p))
        .to(tensor(p).options());
  }

  struct Change {
    double keep;
    Tensor factor;
  };
  // X ← keep · X + factor · Vᵀ
  void add(const LossStep& step, size_t p, const Change& change) const {
    if (!is_matrix(p)) {
      tensor(p).mul_(change.keep).add_(change.factor);
      return;
    }
    const Tensor x = tensor(p).view({tensor(p).size(0), -1});
    x.addmm_(change.factor, v_of(step, step.index, p).t(), change.keep);
  }

  LozoOptions lozo_;
};

class LozoMomentum final : public Lozo {
 public:
  LozoMomentum(const LozoMomentumOptions& options, std::vector<Parameter> parameters)
      : Lozo(options, std::move(parameters)), options_(options) {
    for (size_t p = 0; p < this->parameters().size(); ++p)
      momenta_.push_back({remember("momentum", p, factor_sizes(p)), remember("steps", p, {})});
  }

 private:
  struct Momentum {
    Tensor factor;  // N
    Tensor steps;   // that made it
  };

  void begin(const LossStep& step) override {
    if (step.index % options_.interval != 0 || step.index == 0) return;
    for (size_t p = 0; p < momenta_.size(); ++p) {
      if (!is_matrix(p)) continue;
      const Tensor before = v_of(step, step.index - 1, p), now = v_of(step, step.index, p);
      const Tensor change = before.t().mm(now).div_(static_cast<double>(now.size(0)));
      momenta_[p].factor.copy_(momenta_[p].factor.mm(change));
    }
  }
  Tensor factor(const LossStep& step, const Estimate& estimate, size_t p) override {
    const Momentum& m = momenta_[p];
    const bool is_first = m.steps.item<double>() == 0;
    m.factor.mul_(options_.momentum)
        .add_(mean_factor(step, estimate, p), is_first ? 1 : 1 - options_.momentum);
    m.steps.add_(1);
    return m.factor;
  }

  LozoMomentumOptions options_;
  std::vector<Momentum> momenta_;
};

}  // namespace

OptimizerEntry lozo() {
  return zeroth_order<LozoOptions, Lozo>(
      {"lozo",
       "Descent by two losses along directions of low rank; takes the memory of evaluation.",
       "c = (F(θ + ε·U·Vᵀ) - F(θ - ε·U·Vᵀ)) / 2ε; θ ← θ - η·(c·U·Vᵀ + wd·θ)",
       "Chen et al. 2024, arXiv:2410.07698"});
}

OptimizerEntry lozo_m() {
  return zeroth_order<LozoMomentumOptions, LozoMomentum>(
      {"lozo_m", "lozo with momentum, kept as one factor of low rank.",
       "N ← β·N + (1 - β)·c·U; θ ← θ - η·(N·Vᵀ + wd·θ)", "Chen et al. 2024, arXiv:2410.07698"});
}

}  // namespace mtlora
