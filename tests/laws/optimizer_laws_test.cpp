// What every optimizer of the registry keeps, and AdamW's numbers.

#include <ATen/CPUGeneratorImpl.h>

#include "lib/optim/registry.h"
#include "tests/support/golden.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Tensor values(at::IntArrayRef sizes, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(sizes, generator);
}

/// A matrix, a row long enough for vectors and a rest, and a bias, which does not decay.
std::vector<Parameter> some_parameters() {
  std::vector<Parameter> parameters;
  uint64_t seed = 1;
  for (const auto& [name, sizes] : {std::pair<const char*, std::vector<int64_t>>{"weight", {5, 7}},
                                    {"long", {1003}},
                                    {"bias", {3}}})
    parameters.push_back({name, values(sizes, seed++).requires_grad_(), decays(name)});
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

}  // namespace

TEST_CASE("the laws of optimizers visit every one", "[laws]") {
  std::vector<std::string> names;
  for (const OptimizerEntry& entry : optimizers()) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"adamw"});
}

TEST_CASE("an optimizer's state is all that its next step depends on", "[laws]") {
  for (const OptimizerEntry& entry : optimizers()) {
    CAPTURE(entry.name);
    const std::vector<Parameter> first = some_parameters(), second = some_parameters();
    const auto optimizer = start(entry, first);
    for (uint64_t step = 1; step <= 3; ++step) optimizer->step(gradients_of(first, step), 0.5);

    const auto resumed = start(entry, second);
    const torch::NoGradGuard no_grad;
    const auto from = optimizer->state(), into = resumed->state();
    REQUIRE(from.size() == into.size());
    for (size_t i = 0; i < from.size(); ++i) {
      CHECK(from[i].first == into[i].first);
      Tensor(into[i].second).copy_(from[i].second);
    }
    for (size_t i = 0; i < first.size(); ++i) {
      CHECK(!torch::equal(first[i].tensor, second[i].tensor));
      Tensor(second[i].tensor).copy_(first[i].tensor);
    }
    optimizer->step(gradients_of(first, 4), 0.25);
    resumed->step(gradients_of(second, 4), 0.25);
    for (size_t i = 0; i < first.size(); ++i)
      CHECK(torch::equal(first[i].tensor, second[i].tensor));
  }
}

TEST_CASE("a factor of zero moves nothing", "[laws]") {
  for (const OptimizerEntry& entry : optimizers()) {
    CAPTURE(entry.name);
    const std::vector<Parameter> parameters = some_parameters(), untouched = some_parameters();
    start(entry, parameters)->step(gradients_of(parameters, 1), 0.0);
    for (size_t i = 0; i < parameters.size(); ++i)
      CHECK(torch::equal(parameters[i].tensor, untouched[i].tensor));
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
