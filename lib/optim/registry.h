// Optimizers: how trained tensors move. The learning rate of a step is the optimizer's own `lr`
// times the schedule's factor.
#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/options.h"

namespace mtlora {

using torch::Tensor;

/// A trained tensor (fp32) and what rules apply to it.
struct Parameter {
  std::string name;
  Tensor tensor;
  bool decays = true;   ///< whether weight decay applies
  double lr_scale = 1;  ///< its learning rate is the optimizer's times this
  /// Where it is the A [rank, in] of a product B A: the place of B [out, rank] in the list.
  std::optional<size_t> partner = std::nullopt;
};

/// Biases and the scales of norms do not decay (as Hugging Face's Trainer).
bool decays(const std::string& name);

/// A loss, and its derivative along a direction.
struct LossSlope {
  double loss = 0, slope = 0;
};

/// What a step offers to an optimizer that does without gradients.
struct LossStep {
  int64_t index = 0;  ///< of the step, from 0
  uint64_t seed = 0;  ///< of the run
  double factor = 1;  ///< of the learning rate
  /// The loss of the step's examples, in evaluation (no dropout), at the parameters as they are.
  std::function<double()> loss;
  /// The same and its exact slope along a direction (a tensor for every parameter, in their order),
  /// by one pass of forward-mode differentiation. Throws Error where an operation of the model has
  /// no rule for that.
  std::function<LossSlope(const std::vector<Tensor>& direction)> slope = nullptr;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Whether it moves by gradients: then step() is called, else step_by_loss().
  virtual bool uses_gradients() const { return true; }
  /// Moves every parameter by its gradient (same order), at lr = own lr · factor.
  virtual void step(const std::vector<Tensor>& gradients, double factor);
  /// Whether step_unless() can be called.
  virtual bool can_be_skipped() const { return false; }
  /// The same, but nothing moves where `skipped`, an fp32 scalar on the parameters' device, is 1:
  /// the CPU need not know it.
  virtual void step_unless(const Tensor& skipped, const std::vector<Tensor>& gradients,
                           double factor);
  /// Moves every parameter by losses alone; returns the loss to report.
  virtual double step_by_loss(const LossStep& step);
  /// Everything that a later step depends on beside the parameters, named "<what>/<parameter>".
  /// Writing these tensors restores it; all zeros are the state at the beginning.
  virtual std::vector<std::pair<std::string, Tensor>> state() = 0;
  virtual double lr() const = 0;
};

struct OptimizerEntry : Entry {
  std::function<std::unique_ptr<Optimizer>(const Json& options, std::vector<Parameter> parameters)>
      start;
  std::string equation = {}, source = {};
};

/// Lets the optimizer forget what it knows of one parameter.
void forget(Optimizer& optimizer, const std::string& parameter);

const std::vector<OptimizerEntry>& optimizers();
const Kind& optimizer_kind();
std::unique_ptr<Optimizer> make_optimizer(const Choice& choice, std::vector<Parameter> parameters);

}  // namespace mtlora
