#include "lib/optim/registry.h"

#include "lib/core/error.h"

namespace mtlora {

#define OPTIMIZER(name) OptimizerEntry name();
#include "lib/optim/optimizers.def"
#undef OPTIMIZER

bool decays(const std::string& name) {
  // what transformers' get_decay_parameter_names leaves out; ln_1, ln_2 and ln_f are GPT-2's norms
  for (const char* part : {"bias", "LayerNorm", "layernorm", ".norm.", "_norm.", ".ln_"})
    if (name.find(part) != std::string::npos) return false;
  return true;
}

void Optimizer::step(const std::vector<Tensor>&, double) {
  TORCH_INTERNAL_ASSERT(false, "this optimizer takes no gradients");
}

void Optimizer::step_unless(const Tensor&, const std::vector<Tensor>&, double) {
  TORCH_INTERNAL_ASSERT(false, "this optimizer cannot be skipped");
}

double Optimizer::step_by_loss(const LossStep&) {
  TORCH_INTERNAL_ASSERT(false, "this optimizer takes gradients");
}

void forget(Optimizer& optimizer, const std::string& parameter) {
  for (auto& [name, tensor] : optimizer.state())
    if (name.substr(name.find('/') + 1) == parameter) tensor.zero_();
}

const std::vector<OptimizerEntry>& optimizers() {
  static const std::vector<OptimizerEntry> all = {
#define OPTIMIZER(name) name(),
#include "lib/optim/optimizers.def"
#undef OPTIMIZER
  };
  return all;
}

const Kind& optimizer_kind() {
  static const Kind kind = [] {
    Kind all{"optimizer", {}};
    for (const OptimizerEntry& entry : optimizers()) all.entries.push_back(&entry);
    return all;
  }();
  return kind;
}

std::unique_ptr<Optimizer> make_optimizer(const Choice& choice, std::vector<Parameter> parameters) {
  for (const OptimizerEntry& entry : optimizers())
    if (entry.name == choice.name) return entry.start(choice.options, std::move(parameters));
  fail("{}", unknown("optimizer", choice.name, optimizer_kind().names()));
}

}  // namespace mtlora
