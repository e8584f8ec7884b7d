// Optimizers: how trained tensors move. The learning rate of a step is the optimizer's own `lr`
// times the schedule's factor.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/options.h"

namespace mtlora {

using torch::Tensor;

/// A trained tensor (fp32) and whether weight decay applies to it.
struct Parameter {
  std::string name;
  Tensor tensor;
  bool decays = true;
};

/// Biases and the scales of norms do not decay (as Hugging Face's Trainer).
bool decays(const std::string& name);

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Moves every parameter by its gradient (same order), at lr = own lr · factor.
  virtual void step(const std::vector<Tensor>& gradients, double factor) = 0;
  /// Everything that a later step depends on beside the parameters. Writing these tensors restores
  /// it.
  virtual std::vector<std::pair<std::string, Tensor>> state() = 0;
  virtual double lr() const = 0;
};

struct OptimizerEntry : Entry {
  std::function<std::unique_ptr<Optimizer>(const Json& options, std::vector<Parameter> parameters)>
      start;
};

const std::vector<OptimizerEntry>& optimizers();
const Kind& optimizer_kind();
std::unique_ptr<Optimizer> make_optimizer(const Choice& choice, std::vector<Parameter> parameters);

#define OPTIMIZER(name) OptimizerEntry name();
#include "lib/optim/optimizers.def"
#undef OPTIMIZER

}  // namespace mtlora
