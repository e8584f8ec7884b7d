// What every optimizer of the registry keeps, and AdamW's numbers.

#include <ATen/CPUGeneratorImpl.h>
#include <torch/optim/adamw.h>

#include "lib/optim/registry.h"
#include "tests/support/golden.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Tensor values(at::IntArrayRef sizes, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(sizes, generator);
}

/// A matrix, a row long enough for vectors and a rest, a bias, which does not decay, and a pair.
std::vector<Parameter> some_parameters() {
  std::vector<Parameter> parameters;
  uint64_t seed = 1;
  for (const auto& [name, sizes] : {std::pair<const char*, std::vector<int64_t>>{"weight", {5, 7}},
                                    {"long", {1003}},
                                    {"bias", {3}},
                                    {"lora_A", {2, 9}},
                                    {"lora_B", {6, 2}}})
    parameters.push_back({name, values(sizes, seed++).requires_grad_(), decays(name)});
  parameters[3].partner = 4;
  return parameters;
}

std::vector<Tensor> gradients_of(const std::vector<Parameter>& parameters, uint64_t step) {
  std::vector<Tensor> gradients;
  for (size_t i = 0; i < parameters.size(); ++i)
    gradients.push_back(values(parameters[i].tensor.sizes(), 1000 * step + i));
  return gradients;
}

std::unique_ptr<Optimizer> start(const OptimizerEntry& entry,
                                 const std::vector<Parameter>& parameters) {
  return make_optimizer({entry.name, Json::object()}, parameters);
}

/// One step of either kind; the loss is 1/2 Σ (θ - 1)², far from its least.
void step_once(Optimizer& optimizer, const std::vector<Parameter>& parameters, uint64_t step,
               double factor) {
  if (optimizer.uses_gradients()) return optimizer.step(gradients_of(parameters, step), factor);
  const auto loss = [&] {
    double sum = 0;
    for (const Parameter& p : parameters)
      sum += 0.5 * (p.tensor.detach() - 1).to(torch::kDouble).square().sum().item<double>();
    return sum;
  };
  const auto slope = [&](const std::vector<Tensor>& along) {
    double sum = 0;
    for (size_t i = 0; i < along.size(); ++i)
      sum += ((parameters[i].tensor.detach() - 1) * along[i]).sum().item<double>();
    return LossSlope{loss(), sum};
  };
  optimizer.step_by_loss({static_cast<int64_t>(step), /*seed=*/7, factor, loss, slope});
}

void copy_state(Optimizer& from, Optimizer& into) {
  const torch::NoGradGuard no_grad;
  const auto source = from.state(), target = into.state();
  REQUIRE(source.size() == target.size());
  for (size_t i = 0; i < source.size(); ++i) {
    CHECK(source[i].first == target[i].first);
    Tensor(target[i].second).copy_(source[i].second);
  }
}

const OptimizerEntry& an_entry() {
  return optimizers()[static_cast<size_t>(
      GENERATE(range(0, static_cast<int>(optimizers().size()))))];
}

}  // namespace

TEST_CASE("the laws of optimizers visit every one", "[laws]") {
  std::vector<std::string> names;
  for (const OptimizerEntry& entry : optimizers()) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"adamw", "lora_rite", "lozo", "lozo_m", "zo_sgd",
                                          "zo_sgd_momentum", "zo_sgd_conserve", "zo_sgd_sign",
                                          "zo_adam", "forward_grad"});
}

TEST_CASE("an optimizer's state is all that its next step depends on", "[laws]") {
  const OptimizerEntry& entry = an_entry();
  CAPTURE(entry.name);
  const std::vector<Parameter> first = some_parameters(), second = some_parameters();
  const auto optimizer = start(entry, first);
  for (uint64_t step = 1; step <= 3; ++step) step_once(*optimizer, first, step, 0.5);

  const auto resumed = start(entry, second);
  copy_state(*optimizer, *resumed);
  {
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < first.size(); ++i) {
      CHECK(!torch::equal(first[i].tensor, second[i].tensor));
      Tensor(second[i].tensor).copy_(first[i].tensor);
    }
  }
  step_once(*optimizer, first, 4, 0.25);
  step_once(*resumed, second, 4, 0.25);
  for (size_t i = 0; i < first.size(); ++i) CHECK(torch::equal(first[i].tensor, second[i].tensor));
}

TEST_CASE("an optimizer that forgets everything begins anew", "[laws]") {
  const OptimizerEntry& entry = an_entry();
  CAPTURE(entry.name);
  const std::vector<Parameter> first = some_parameters(), second = some_parameters();
  const auto optimizer = start(entry, first), fresh = start(entry, second);
  for (uint64_t step = 1; step <= 3; ++step) step_once(*optimizer, first, step, 0.5);
  for (const Parameter& p : first) forget(*optimizer, p.name);
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : optimizer->state()) {
      INFO(name);
      CHECK(tensor.abs().max().item<double>() == 0);
    }
    for (size_t i = 0; i < first.size(); ++i) Tensor(second[i].tensor).copy_(first[i].tensor);
  }
  step_once(*optimizer, first, 4, 0.25);
  step_once(*fresh, second, 4, 0.25);
  for (size_t i = 0; i < first.size(); ++i) CHECK(torch::equal(first[i].tensor, second[i].tensor));
}

TEST_CASE("a factor of zero moves nothing", "[laws]") {
  const OptimizerEntry& entry = an_entry();
  CAPTURE(entry.name);
  const std::vector<Parameter> parameters = some_parameters(), untouched = some_parameters();
  step_once(*start(entry, parameters), parameters, 1, 0.0);
  for (size_t i = 0; i < parameters.size(); ++i)
    CHECK(torch::equal(parameters[i].tensor, untouched[i].tensor));
}

TEST_CASE("an optimizer moves every parameter", "[laws]") {
  const OptimizerEntry& entry = an_entry();
  CAPTURE(entry.name);
  const std::vector<Parameter> parameters = some_parameters(), untouched = some_parameters();
  const auto optimizer =
      make_optimizer({entry.name, {{"lr", 1e-3}, {"weight_decay", 0.1}}}, parameters);
  CHECK(optimizer->lr() == 1e-3);
  step_once(*optimizer, parameters, 1, 1.0);
  for (size_t i = 0; i < parameters.size(); ++i) {
    INFO(parameters[i].name);
    CHECK(!torch::equal(parameters[i].tensor, untouched[i].tensor));
    CHECK(parameters[i].tensor.isfinite().all().item<bool>());
  }
}

TEST_CASE("AdamW is torch.optim.AdamW", "[laws]") {
  const std::vector<Parameter> ours = some_parameters();
  std::vector<torch::optim::OptimizerParamGroup> groups;
  std::vector<Tensor> theirs;
  for (const Parameter& p : some_parameters()) {
    // in double, so that the distance is our own rounding
    theirs.push_back(p.tensor.detach().to(torch::kDouble).requires_grad_());
    auto options = std::make_unique<torch::optim::AdamWOptions>(0.01);
    options->weight_decay(p.decays ? 0.1 : 0.0).betas({0.8, 0.95}).eps(1e-7);
    groups.emplace_back(std::vector<Tensor>{theirs.back()}, std::move(options));
  }
  torch::optim::AdamW reference(groups, torch::optim::AdamWOptions(0.01));
  const auto optimizer = make_optimizer({"adamw", Json{{"lr", 0.01},
                                                       {"weight_decay", 0.1},
                                                       {"beta1", 0.8},
                                                       {"beta2", 0.95},
                                                       {"epsilon", 1e-7}}},
                                        ours);
  CHECK(optimizer->lr() == 0.01);
  for (uint64_t step = 1; step <= 6; ++step) {
    const double factor = 1.0 / static_cast<double>(step);
    for (auto& group : reference.param_groups()) group.options().set_lr(0.01 * factor);
    const std::vector<Tensor> gradients = gradients_of(ours, step);
    for (size_t i = 0; i < theirs.size(); ++i)
      theirs[i].mutable_grad() = gradients[i].to(torch::kDouble);
    reference.step();
    optimizer->step(gradients, factor);
    for (size_t i = 0; i < ours.size(); ++i) {
      CAPTURE(step);
      check_close(ours[i].name, ours[i].tensor, theirs[i], 1e-6);
    }
  }
}

TEST_CASE("biases and norms do not decay", "[laws]") {
  CHECK(!decays("bert.encoder.layer.0.attention.self.qkv.bias"));
  CHECK(!decays("bert.embeddings.LayerNorm.weight"));
  CHECK(decays("bert.encoder.layer.0.attention.self.qkv.adapter.query.lora_A"));
  CHECK(decays("classifier.weight"));
}
