// AdamW: m ← β1 m + (1-β1) g; v ← β2 v + (1-β2) g²; θ ← θ - lr·wd·θ - lr · m̂ / (√v̂ + ε), with
// bias-corrected m̂ and v̂. Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2; numbers as
// torch.optim.AdamW.

#include "lib/backend/optimizer_ops.h"
#include "lib/optim/registry.h"

namespace mtlora {
namespace {

struct AdamWOptions {
  double lr = 5e-4, weight_decay = 0.01, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

  void fields(Fields& f) {
    f("lr", lr, "Learning rate at the schedule's height.", not_negative());
    f("weight_decay", weight_decay, "Decoupled weight decay; biases and norms do not decay.",
      not_negative());
    f("beta1", beta1, "Decay of the first moment.", at_least_zero_below(1));
    f("beta2", beta2, "Decay of the second moment.", at_least_zero_below(1));
    f("epsilon", epsilon, "Added to the root of the second moment.", positive());
  }
};

// The parameters that share one weight decay and one learning rate.
struct Group {
  bool decays;
  double lr_scale;
  std::vector<size_t> index;  // among all parameters
  backend::AdamWState tensors;
};

class AdamW final : public Optimizer {
 public:
  AdamW(const AdamWOptions& options, const std::vector<Parameter>& parameters) : options_(options) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Parameter& p = parameters[i];
      Group& group = group_of(p);
      group.index.push_back(i);
      group.tensors.params.push_back(p.tensor.detach());
      const auto moment = [&](const char* name, std::vector<Tensor>& list, const Tensor& start) {
        list.push_back(start);
        state_.emplace_back(std::string(name) + "/" + p.name, start);
      };
      moment("exp_avg", group.tensors.exp_avg, torch::zeros_like(p.tensor.detach()));
      moment("exp_avg_sq", group.tensors.exp_avg_sq, torch::zeros_like(p.tensor.detach()));
      moment("step", group.tensors.steps,
             torch::zeros({}, p.tensor.detach().options().dtype(torch::kFloat)));
    }
  }

  void step(const std::vector<Tensor>& gradients, double factor) override {
    for (Group& group : groups_) move(group, gradients, factor, {});
  }
  bool can_be_skipped() const override { return true; }
  void step_unless(const Tensor& skipped, const std::vector<Tensor>& gradients,
                   double factor) override {
    for (Group& group : groups_) move(group, gradients, factor, skipped);
  }
  std::vector<std::pair<std::string, Tensor>> state() override { return state_; }
  double lr() const override { return options_.lr; }

 private:
  Group& group_of(const Parameter& p) {
    for (Group& group : groups_)
      if (group.decays == p.decays && group.lr_scale == p.lr_scale) return group;
    groups_.push_back({p.decays, p.lr_scale, {}, {}});
    return groups_.back();
  }

  void move(Group& group, const std::vector<Tensor>& gradients, double factor,
            const Tensor& skipped) const {
    group.tensors.grads.clear();
    for (const size_t i : group.index) group.tensors.grads.push_back(gradients[i]);
    backend::fused_adamw(group.tensors,
                         {options_.lr * factor * group.lr_scale, options_.beta1, options_.beta2,
                          options_.epsilon, group.decays ? options_.weight_decay : 0.0},
                         skipped);
  }

  AdamWOptions options_;
  std::vector<Group> groups_;
  std::vector<std::pair<std::string, Tensor>> state_;
};

}  // namespace

OptimizerEntry adamw() {
  return {{"adamw", "Adam with decoupled weight decay.", default_visit<AdamWOptions>()},
          [](const Json& options, std::vector<Parameter> parameters) {
            return std::make_unique<AdamW>(parse<AdamWOptions>(options, "/optimizer"), parameters);
          },
          "m ← β1·m + (1−β1)·g, v ← β2·v + (1−β2)·g²; θ ← θ − lr·wd·θ − lr·m̂/(√v̂ + ε)",
          "Loshchilov & Hutter 2019, arXiv:1711.05101"};
}

}  // namespace mtlora
