// AdaLoRA and RM-LoRA train as PEFT and the equations in Python do: outputs, the first gradients,
// every step's loss and gradient norm, which terms are kept after each, and where it ends.

#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

struct Variant {
  std::string name, method;
  Json options;
};

Json adalora_options(int64_t init, int64_t last, int64_t interval) {
  return {{"rank", 4},          {"target_rank", 2},    {"alpha", 8.0},
          {"beta1", 0.85},      {"beta2", 0.7},        {"orthogonality", 0.1},
          {"init_steps", init}, {"final_steps", last}, {"mask_interval", interval}};
}

Json rm_lora_options(const char* variant, const char* masked) {
  return {{"rank", 4},          {"random_rank", 2}, {"alpha", 8.0},
          {"variant", variant}, {"masked", masked}, {"orthogonality", 0.1}};
}

const std::vector<Variant> variants{
    {"adalora", "adalora", adalora_options(3, 5, 3)},
    {"adalora-late", "adalora", adalora_options(2, 6, 4)},
    {"rm_lora-v1", "rm_lora", rm_lora_options("v1", "moments")},
    {"rm_lora-v2", "rm_lora", rm_lora_options("v2", "moments")},
    {"rm_lora-frozen", "rm_lora", rm_lora_options("v2", "frozen")},
};

AdapterOptions options_of(const Variant& v) {
  AdapterOptions options;
  options.targets = {"bert.encoder.**"};
  options.method = {v.method, v.options};
  return options;
}

/// The golden's tensors of one variant, and the starting values that all share.
Tensors golden_of(const Variant& v) {
  Tensors wanted;
  for (const auto& [name, tensor] : golden("bert-tiny-wide/rank_methods.safetensors")) {
    if (name.starts_with(v.name + "/")) wanted[name.substr(v.name.size() + 1)] = tensor;
    if (name.starts_with("adapter/")) wanted[name] = tensor;
  }
  return wanted;
}

struct Training {
  explicit Training(const Variant& v)
      : model("bert-tiny-wide", options_of(v)),
        want(golden_of(v)),
        set(golden_set(model.batch_golden())),
        objective(model.model(), set, model.collate_options(), 0),
        step(objective, parameters_of(model.trained()), pool,
             {.clip = 1.0, .training = false, .adapters = model.trained().set.get()}) {
    const torch::NoGradGuard no_grad;
    size_t copied = 0;
    for (const NamedTensor& t : model.trained().tensors) {
      if (t.name.find(".lora_") == std::string::npos) continue;
      t.tensor.copy_(want.at("adapter/" + t.name));
      ++copied;
    }
    REQUIRE(copied == (v.method == "adalora" ? 36 : 24));  // of two layers with six matrices
    for (const Slot& slot : linear_slots(model.model())) slot.linear->settle();
  }

  void check_start() {
    const torch::NoGradGuard no_grad;
    check_close("logits", model.model().logits(model.batch(), {}), want.at("logits"),
                output_tolerance);
    if (!want.contains("grad/classifier.bias")) return;
    check_close("penalty", model.trained().set->penalty() / 0.1, want.at("penalty"),
                output_tolerance);
    std::vector<Tensor> gradients;
    step.gradients(0, {items_until(set.size())}, gradients);
    const Tensors got = by_name(model.trained(), gradients);
    for (const auto& [name, gradient] : got)
      check_close(name, gradient, want.at("grad/" + name), output_tolerance);
    CHECK(got.size() == 36 + 2);
  }

  void check_steps() {
    const Tensor& want_losses = want.at("train.losses");
    const int64_t count = want_losses.size(0);
    const auto optimizer = make_optimizer({"adamw", Json{{"lr", 5e-3}, {"weight_decay", 0.1}}},
                                          parameters_of(model.trained()));
    const Schedule schedule({.name = "linear", .warmup_steps = 1}, count);
    model.trained().set->begin({count, 0, 1});
    std::vector<double> losses, norms;
    for (int64_t i = 0; i < count; ++i) {
      const StepReport report =
          step.run(i, {items_until(set.size())}, *optimizer, schedule.factor(i));
      losses.push_back(report.loss);
      norms.push_back(report.gradient_norm);
      if (want.contains("kept")) CHECK(torch::equal(kept().cpu(), want.at("kept")[i]));
    }
    check_close("losses", at::tensor(losses), want_losses, training_tolerance);
    check_close("norms", at::tensor(norms), want.at("train.norms"), training_tolerance);
  }

  void check_end() const {
    size_t compared = 0;
    for (const NamedTensor& t : model.trained().tensors) {
      const auto found = want.find("final/" + t.name);
      if (found == want.end()) continue;
      check_close(found->first, t.tensor, found->second, training_tolerance);
      ++compared;
    }
    CHECK(compared == (want.contains("kept") ? 15 : 3));
  }

  /// 1 where an entry of E is not 0, all of them in the model's order.
  Tensor kept() const {
    std::vector<Tensor> all;
    for (const NamedTensor& t : model.trained().tensors)
      if (t.name.ends_with(".lora_E")) all.push_back((t.tensor != 0).flatten().to(torch::kFloat));
    return torch::cat(all);
  }

  GoldenModel model;
  Tensors want;
  EncodedSet set;
  LabelObjective objective;
  backend::ShardPool pool{1};
  TrainStep step;
};

}  // namespace

TEST_CASE("rank budgets and gradient masks train as in the goldens", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto variant = GENERATE(from_range(variants));
  CAPTURE(name_of(path), variant.name);
  const OnPath guard(path);
  Training training(variant);
  training.check_start();
  training.check_steps();
  training.check_end();
}
