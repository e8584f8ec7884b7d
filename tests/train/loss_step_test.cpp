// Steps by losses alone, on models: slopes are the gradients', every optimizer without gradients
// learns, and micro-batches are one batch.

#include <cmath>

#include "lib/core/error.h"
#include "tests/train/any_model.h"

using namespace mtlora;
using namespace mtlora::test;

TEST_CASE("the slope by forward-mode differentiation is the gradient's", "[train]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(as<std::string>(), "bert-tiny", "bert-tiny-regression", "roberta-tiny",
                             "gpt2-tiny", "llama-tiny", "llama-tiny-scaled");
  const auto adapter = GENERATE(as<std::string>(), "full", "lora", "mtlora");
  CAPTURE(name_of(path), name, adapter);
  const OnPath guard(path);
  Training training(name, method(adapter, some_targets(name)), 9);
  backend::ShardPool pool(path.is_device ? 1 : 2);
  TrainStep step = training.step(pool);
  const std::vector<std::vector<Item>> micro_batches{items_until(4), items_until(9, 4)};
  std::vector<Tensor> gradients;
  const StepReport by_gradients = step.gradients(0, micro_batches, gradients);
  const std::vector<Tensor> along = training.direction();
  double want = 0, norm = 0;
  for (size_t i = 0; i < along.size(); ++i) {
    want += (gradients[i].to(at::kDouble) * along[i]).sum().item<double>();
    norm += gradients[i].to(at::kDouble).square().sum().item<double>();
  }
  double slope = 0;
  const StepReport report = step.slope(0, micro_batches, along, slope);
  // the slope is a sum of terms as large as the gradient's norm, through some layers of fp32
  CHECK(std::abs(slope - want) < 1e-5 * std::sqrt(norm));
  CHECK(report.loss == Approx(by_gradients.loss).epsilon(1e-6));
  CHECK(report.examples == 9);
  // what it left behind: no derivative, and the path that was in use
  CHECK(backend::path() == path.path);
  CHECK(step.loss(0, micro_batches).loss == Approx(by_gradients.loss).epsilon(1e-6));
  for (const auto& [unused, tensor] : training.trained.parameters)
    CHECK(!tensor._fw_grad(0).defined());
}

TEST_CASE("a difference of losses is the slope", "[train]") {
  Training training("bert-tiny-wide", method("lora", {"query", "value"}), 8);
  backend::ShardPool pool(1);
  TrainStep step = training.step(pool);
  double slope = 0;
  const std::vector<Tensor> along = training.direction();
  step.slope(0, {items_until(8)}, along, slope);
  const auto at = [&](double by) {
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < along.size(); ++i)
      training.trained.parameters[i].second.add_(along[i], by);
    return step.loss(0, {items_until(8)}).loss;
  };
  constexpr double epsilon = 1e-3;
  const double ahead = at(epsilon), behind = at(-2 * epsilon);
  // fp32 losses: 1e-7 / ε; the third derivative: ε²
  CHECK((ahead - behind) / (2 * epsilon) == Approx(slope).epsilon(2e-3));
}

TEST_CASE("every optimizer without gradients learns", "[train]") {
  struct Trial {
    const char* name;
    Json options;
  };
  const auto trial = GENERATE(values<Trial>({
      {"zo_sgd", {{"lr", 3e-3}}},
      {"zo_sgd_momentum", {{"lr", 3e-4}}},
      {"zo_sgd_conserve", {{"lr", 3e-3}}},
      {"zo_sgd_sign", {{"lr", 3e-3}}},
      {"zo_adam", {{"lr", 3e-3}}},
      {"forward_grad", {{"lr", 3e-3}}},
      {"lozo", {{"lr", 1e-3}, {"rank", 2}, {"interval", 20}}},
      {"lozo_m", {{"lr", 1e-3}, {"rank", 2}, {"interval", 20}}},
  }));
  CAPTURE(trial.name);
  Training training("bert-tiny", method("lora", {"query", "value"}), 32);
  backend::ShardPool pool(1);
  TrainStep step = training.step(pool);
  const auto optimizer =
      make_optimizer({trial.name, trial.options}, parameters_of(training.trained));
  const double before = step.loss(0, {items_until(32)}).loss;
  StepReport report;
  for (int64_t i = 0; i < 400; ++i) report = step.run(i, {items_until(32)}, *optimizer, 1.0);
  const double after = step.loss(0, {items_until(32)}).loss;
  WARN(trial.name << ": loss " << before << " -> " << after);
  CHECK(after < 0.8 * before);
  CHECK(report.examples == 32);
  CHECK(report.tokens == training.set.tokens());
  CHECK(report.phases.backward == 0);
}

TEST_CASE("micro-batches are one batch to an optimizer without gradients", "[train]") {
  const auto name = GENERATE(as<std::string>(), "zo_sgd", "forward_grad");
  CAPTURE(name);
  std::vector<double> losses;
  for (const std::vector<std::vector<Item>>& cut :
       {std::vector<std::vector<Item>>{items_until(8)}, {items_until(3), items_until(8, 3)}}) {
    Training training("bert-tiny", method("full", {}), 8);
    backend::ShardPool pool(2);
    TrainStep step = training.step(pool);
    const auto optimizer = make_optimizer({name, {{"lr", 1e-4}}}, parameters_of(training.trained));
    for (int64_t i = 0; i < 3; ++i) losses.push_back(step.run(i, cut, *optimizer, 1.0).loss);
  }
  // roundings of a loss, over 2ε
  for (size_t i = 0; i < 3; ++i) CHECK(losses[i] == Approx(losses[3 + i]).epsilon(1e-4));
  CHECK(losses[0] != losses[2]);
}

TEST_CASE("a loss that is no number is told without a gradient's norm", "[train]") {
  Training training("bert-tiny", method("full", {}), 8);
  {
    const torch::NoGradGuard no_grad;
    training.model->named_parameters()["classifier.weight"][0][0] = NAN;
  }
  backend::ShardPool pool(2);
  TrainStep step = training.step(pool);
  const auto optimizer =
      make_optimizer({"zo_sgd", Json::object()}, parameters_of(training.trained));
  const std::vector<std::vector<Item>> micro_batches{{{5, 0}}, {{1, 1}}};
  CHECK_THROWS_WITH(step.run(41, micro_batches, *optimizer, 1.0),
                    Catch::Matchers::Contains("step 42: the loss is nan: training has diverged") &&
                        Catch::Matchers::Contains("1, 5"));
}
