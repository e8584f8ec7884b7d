// What optimizers without gradients share: the slope of the loss along a random direction u, from
// two losses,
//   c = (F(θ + εu) - F(θ - εu)) / 2ε,
// and directions that are drawn anew wherever they are needed, so that a step takes the memory of
// evaluation. Spall 1992, IEEE Trans. Automatic Control 37(3); Malladi et al. 2023 (MeZO),
// arXiv:2305.17333, algorithm 1.
//
// The parameters move in place: θ → θ + εu → θ - εu → the new θ. In fp32 each of the three moves
// rounds (an update by gradients rounds once); what that adds up to is measured in
// tests/optim/zeroth_order_test.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/optim/registry.h"

namespace mtlora {

struct ZerothOrderOptions {
  double lr = 1e-6, epsilon = 1e-3, weight_decay = 0;
  int64_t directions = 1;
  bool one_sided = false;

  void fields(Fields& f);
};

/// What the losses of a step say.
struct Estimate {
  double loss = 0;             ///< to report
  std::vector<double> slopes;  ///< of the loss along each direction
  double displaced = 0;        ///< the last direction times this is still in the parameters
};

class ZerothOrder : public Optimizer {
 public:
  ZerothOrder(const ZerothOrderOptions& options, std::vector<Parameter> parameters);
  bool uses_gradients() const final { return false; }
  /// Where the learning rate is 0 nothing is disturbed, and only the loss is looked at.
  double step_by_loss(const LossStep& step) final;
  std::vector<std::pair<std::string, Tensor>> state() final { return state_; }
  double lr() const final { return options_.lr; }

 protected:
  /// θ += by · u for direction `number` of this step.
  virtual void move(const LossStep& step, int64_t number, double by) = 0;
  /// The slopes along options.directions directions.
  virtual Estimate estimate(const LossStep& step);
  /// Takes back what is displaced and moves the parameters.
  virtual void update(const LossStep& step, const Estimate& estimate) = 0;
  /// Before every step, also one that moves nothing.
  virtual void begin(const LossStep&) {}

  const ZerothOrderOptions& options() const { return options_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Of one parameter in this step.
  double lr_of(const LossStep& step, size_t parameter) const;
  double decay_of(size_t parameter) const;
  /// Zeros that are saved as "<what>/<parameter>": of the parameter's shape, or of another.
  Tensor remember(const std::string& what, size_t parameter);
  Tensor remember(const std::string& what, size_t parameter, at::IntArrayRef sizes);
  /// The key of what is drawn in a step, or whenever, for one parameter.
  uint64_t key_of(uint64_t seed, int64_t when, int64_t number, size_t parameter) const;

 private:
  ZerothOrderOptions options_;
  std::vector<Parameter> parameters_;
  std::vector<std::pair<std::string, Tensor>> state_;
};

/// Directions of independent N(0, 1) numbers, in blocks of which one is held at a time. A rule says
/// how a block moves by the estimate ĝ = 1/q Σ c_i u_i.
class GaussianOrder : public ZerothOrder {
 public:
  using ZerothOrder::ZerothOrder;

 protected:
  struct Block {
    size_t parameter;
    int64_t begin, size;
    Tensor values;    ///< of the parameter, a view; as they were before the step
    Tensor estimate;  ///< ĝ, may be written
    double lr;        ///< of this parameter in this step
    /// The same numbers of a tensor of the parameter's shape, a view.
    Tensor of(const Tensor& state) const { return state.view({-1}).narrow(0, begin, size); }
  };
  /// Once ĝ is known and decay is done: θ ← θ - lr · ĝ, unless a rule says otherwise.
  virtual void rule(const Block& block);
  /// The factor of direction i in ĝ: its slope, unless a rule says otherwise.
  virtual double weight_of(double slope) const { return slope; }

  void move(const LossStep& step, int64_t number, double by) final;
  void update(const LossStep& step, const Estimate& estimate) override;
  /// Takes back what is displaced, and calls `each` with every block and its ĝ.
  void visit(const LossStep& step, const Estimate& estimate,
             const std::function<void(const Block&)>& each);
  /// θ ← (1 - lr · wd) θ
  void decay(const Block& block) const;
  /// u of one parameter, in its shape and type.
  Tensor direction(const LossStep& step, int64_t number, size_t parameter) const;

 private:
  template <class Visit>
  void for_each_block(Visit&& visit) const;
  Tensor drawn(const LossStep& step, int64_t number, const Block& block) const;
};

/// What an optimizer says of itself.
struct OptimizerText {
  std::string name, summary, equation, source;
};

/// Options → the entry's start(); `Rule` is built from them and the parameters.
template <class Options, class Rule>
OptimizerEntry zeroth_order(OptimizerText text) {
  return {{std::move(text.name), std::move(text.summary), default_visit<Options>()},
          [](const Json& options, std::vector<Parameter> parameters) {
            return std::make_unique<Rule>(parse<Options>(options, "/optimizer"),
                                          std::move(parameters));
          },
          std::move(text.equation),
          std::move(text.source)};
}

}  // namespace mtlora
