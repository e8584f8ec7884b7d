// A training step is a function of its examples: not of how they are cut into micro-batches,
// shards and packs.

#include <cmath>

#include "lib/core/error.h"
#include "lib/train/not_finite.h"
#include "tests/models/golden_model.h"
#include "tests/train/random_example.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

// Sums of fp32 in another order: a few roundings of 6e-8, through two layers.
constexpr double summation = 2e-6;

/// `count` examples of 3 to 21 tokens below 100, labels 0 … 2 or, for regression, any.
EncodedSet examples(int64_t count, bool is_regression = false) {
  Random random(7);
  std::vector<EncodedExample> all;
  for (int64_t i = 0; i < count; ++i) {
    EncodedExample e = random_example(random, 3 + random.below(19), 0, 99, true);
    e.label = is_regression ? 5 * random.uniform() : static_cast<double>(random.below(3));
    all.push_back(e);
  }
  return EncodedSet(all);
}

AdapterOptions lora_with_dropout() {
  AdapterOptions options;
  options.targets = {"query", "value", "*.encoder.layer.*.output.dense"};
  options.method = {"lora", {{"rank", 4}, {"dropout", 0.2}}};
  return options;
}

/// A model in training with dropout everywhere, its trained tensors away from their start.
struct Training {
  explicit Training(bool regression = false, const AdapterOptions& adapter = GoldenModel::full())
      : loaded(load_classifier(golden_path(regression ? "bert-tiny-regression" : "bert-tiny"), {})),
        set(examples(8, regression)),
        trained(inject(*loaded.model, adapter, 1, loaded.family->head)),
        is_regression(regression) {
    move_to(OnPath::device(), *loaded.model, trained);
    const torch::NoGradGuard no_grad;
    Random random(3);
    for (const NamedTensor& t : trained.tensors)
      if (t.name.ends_with("lora_B")) t.tensor.fill_(0.1 * random.normal());
    for (const Slot& slot : linear_slots(*loaded.model)) slot.linear->settle();
  }

  struct Result {
    StepReport report;
    std::vector<Tensor> gradients;
  };
  Result run(const std::vector<std::vector<Item>>& micro_batches, int threads = 1,
             int64_t step = 0) {
    backend::ShardPool pool(loaded.model->device().is_cpu() ? threads : 1);
    const LabelObjective objective(*loaded.model, set, {.is_regression = is_regression}, 0);
    TrainStep train(objective, parameters_of(trained), pool, {.seed = 11});
    Result result;
    result.report = train.gradients(step, micro_batches, result.gradients);
    return result;
  }

  /// Every gradient, relative to its largest value; relative to the model's where it is zero in
  /// exact arithmetic.
  void check_same(const Result& got, const Result& want) const {
    CHECK(got.report.loss == Approx(want.report.loss).epsilon(summation));
    CHECK(got.report.examples == want.report.examples);
    CHECK(got.report.tokens == want.report.tokens);
    const Tensors g = by_name(trained, got.gradients), w = by_name(trained, want.gradients);
    double largest = 0;
    for (const auto& [name, gradient] : w)
      largest = std::max(largest, gradient.abs().max().item<double>());
    for (const auto& [name, gradient] : w) {
      const bool is_rounding = name.ends_with("attention.self.key.bias");
      check_close(name, g.at(name), gradient, summation,
                  is_rounding ? std::optional(largest) : std::nullopt);
    }
  }

  LoadedClassifier loaded;
  EncodedSet set;
  Trained trained;
  bool is_regression;
};

Pass training_pass(const Batch& batch) {
  return {true, 5, batch.rows};
}

}  // namespace

TEST_CASE("micro-batches of 3 and 5 are one batch of 8", "[train]") {
  const auto path = GENERATE(from_range(all_paths()));
  const bool is_regression = GENERATE(false, true);
  const bool is_adapter = GENERATE(false, true);
  CAPTURE(name_of(path), is_regression, is_adapter);
  const OnPath guard(path);
  Training training(is_regression, is_adapter ? lora_with_dropout() : GoldenModel::full());
  const auto whole = training.run({items_until(8)});
  CHECK(whole.report.examples == 8);
  training.check_same(training.run({items_until(3), items_until(8, 3)}), whole);
}

TEST_CASE("two shards are one", "[train]") {
  const auto path = GENERATE(from_range(all_paths()));
  const bool is_adapter = GENERATE(false, true);
  CAPTURE(name_of(path), is_adapter);
  const OnPath guard(path);
  Training training(false, is_adapter ? lora_with_dropout() : GoldenModel::full());
  const auto one = training.run({items_until(8)});
  training.check_same(training.run({items_until(8)}, 2), one);
  training.check_same(training.run({items_until(8)}, 3), one);
  // more shards than examples
  training.check_same(training.run({items_until(1), items_until(8, 1)}, 3), one);
}

TEST_CASE("a step repeats bit for bit", "[train]") {
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  const auto a = Training().run({items_until(8)}, 2), b = Training().run({items_until(8)}, 2);
  CHECK(a.report.loss == b.report.loss);
  REQUIRE(!a.gradients.empty());
  for (size_t i = 0; i < a.gradients.size(); ++i)
    CHECK(torch::equal(a.gradients[i], b.gradients[i]));
}

TEST_CASE("dropout differs from step to step, and is there", "[train]") {
  Training training;
  const auto first = training.run({items_until(8)}, 1, 0);
  CHECK(first.report.loss != training.run({items_until(8)}, 1, 1).report.loss);
  CHECK(first.report.loss == training.run({items_until(8)}, 1, 0).report.loss);
}

TEST_CASE("a sequence gets the same logits alone and among others", "[train]") {
  const auto path = GENERATE(from_range(all_paths()));
  const bool training_mode = GENERATE(false, true);
  CAPTURE(name_of(path), training_mode);
  const OnPath guard(path);
  Training training(false, lora_with_dropout());
  const torch::NoGradGuard no_grad;
  const auto logits = [&](const std::vector<Item>& items) {
    const Batch batch = on_device(collate(training.set, items, {}), OnPath::device());
    return training.loaded.model->logits(batch, training_mode ? training_pass(batch) : Pass{});
  };
  std::vector<Item> items = items_until(8);
  std::reverse(items.begin(), items.end());
  const Tensor together = logits(items);
  for (size_t i = 0; i < items.size(); ++i) {
    CAPTURE(i);
    check_close("logits", logits({items[i]})[0], together[static_cast<int64_t>(i)], summation,
                together.abs().max().item<double>());
  }
  // The same example at another place of the epoch drops other channels.
  const Tensor moved = logits({{0, 20}}), unmoved = logits({{0, 0}});
  CHECK(torch::equal(moved, unmoved) == !training_mode);
}

TEST_CASE("filler tokens change nothing", "[train]") {
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  Training training;
  const auto gradients = [&](int64_t round) {
    const Batch batch = on_device(collate(training.set, items_until(8), {.round_tokens_to = round}),
                                  OnPath::device());
    CHECK(batch.ids.size(0) % round == 0);
    const Tensor loss = classification_loss(
        training.loaded.model->logits(batch, training_pass(batch)), batch.labels, 0);
    std::vector<Tensor> parameters;
    for (const auto& p : training.trained.parameters) parameters.push_back(p.second);
    Training::Result result;
    result.gradients = torch::autograd::grad({loss}, parameters);
    result.report.loss = loss.item<double>();
    return result;
  };
  REQUIRE(training.set.tokens() % 16 != 0);  // so that there is filler
  training.check_same(gradients(16), gradients(1));
  training.check_same(gradients(64), gradients(1));
}

TEST_CASE("label smoothing is torch's", "[train]") {
  Training training;
  backend::ShardPool pool(2);
  const LabelObjective objective(*training.loaded.model, training.set, {}, 0.1);
  TrainStep step(objective, parameters_of(training.trained), pool, {.training = false});
  std::vector<Tensor> gradients;
  const StepReport report = step.gradients(0, {items_until(8)}, gradients);
  const torch::NoGradGuard no_grad;
  const Batch batch = collate(training.set, items_until(8), {});
  const Tensor p = torch::log_softmax(training.loaded.model->logits(batch, {}), 1);
  const Tensor own = p.gather(1, batch.labels.unsqueeze(1)).squeeze(1);
  const Tensor want = -(0.9 * own + 0.1 * p.mean(1)).mean();
  CHECK(report.loss == Approx(want.item<double>()).epsilon(summation));
}

TEST_CASE("the gradients are clipped to the norm asked for", "[train]") {
  const double clip = GENERATE(0.0, 0.01, 1000.0);
  CAPTURE(clip);
  // Plain descent shows the gradients that the optimizer gets.
  struct Descent final : Optimizer {
    void step(const std::vector<Tensor>& gradients, double) override {
      for (const Tensor& g : gradients) seen += g.pow(2).sum().item<double>();
    }
    std::vector<std::pair<std::string, Tensor>> state() override { return {}; }
    double lr() const override { return 1; }
    double seen = 0;
  } optimizer;
  Training training;
  backend::ShardPool pool(1);
  const LabelObjective objective(*training.loaded.model, training.set, {}, 0);
  TrainStep step(objective, parameters_of(training.trained), pool, {.clip = clip});
  const StepReport report = step.run(0, {items_until(8)}, optimizer, 1.0);
  REQUIRE(report.gradient_norm > 0.01);
  REQUIRE(report.gradient_norm < 1000);
  CHECK(std::sqrt(optimizer.seen) ==
        Approx(clip == 0.01 ? 0.01 : report.gradient_norm).epsilon(1e-4));
}

TEST_CASE("a loss that is no number stops the run before anything moves", "[train]") {
  Training training;
  const auto parameters = parameters_of(training.trained);
  {
    const torch::NoGradGuard no_grad;
    training.loaded.model->named_parameters()["classifier.weight"][0][0] = NAN;
  }
  std::vector<Tensor> before;
  for (const Parameter& p : parameters) before.push_back(p.tensor.detach().clone());
  const auto optimizer = make_optimizer({"adamw", Json::object()}, parameters);
  backend::ShardPool pool(2);
  const LabelObjective objective(*training.loaded.model, training.set, {}, 0);
  TrainStep step(objective, parameters, pool, {});
  const std::vector<std::vector<Item>> micro_batches{{{6, 0}, {2, 1}}, {{4, 2}}};
  CHECK_THROWS_WITH(step.run(41, micro_batches, *optimizer, 1.0),
                    Catch::Matchers::Contains("step 42") && Catch::Matchers::Contains("2, 4, 6") &&
                        Catch::Matchers::Contains("It begins at classifier."));
  const StepReport report = step.run(41, micro_batches, *optimizer, 1.0, BadStep::is_skipped);
  CHECK(report.skipped);
  CHECK(std::isnan(report.loss));
  for (size_t i = 0; i < parameters.size(); ++i)
    CHECK(at::allclose(before[i], parameters[i].tensor, 0, 0, /*equal_nan=*/true));
}

TEST_CASE("the sign of what is no number is not told", "[train]") {
  const double nan = std::copysign(std::nan(""), -1.0);
  CHECK_THROWS_WITH(
      report_not_finite({0, nan, nan, ""}, {}),
      Catch::Matchers::Contains("the loss is nan and the gradients' norm nan: training has"));
}

TEST_CASE("the first layer that is not finite is named, part by part", "[train]") {
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  Training training(false, lora_with_dropout());
  const auto parameters = parameters_of(training.trained);
  {
    const torch::NoGradGuard no_grad;
    for (const NamedTensor& t : named_tensors(*training.loaded.model))
      if (t.name == "bert.encoder.layer.1.attention.self.key.bias") t.tensor[0] = INFINITY;
  }
  const auto optimizer = make_optimizer({"adamw", Json::object()}, parameters);
  backend::ShardPool pool(1);
  const LabelObjective objective(*training.loaded.model, training.set, {}, 0);
  TrainStep step(objective, parameters, pool, {});
  CHECK_THROWS_WITH(
      step.run(0, {items_until(8)}, *optimizer, 1.0),
      Catch::Matchers::Contains("It begins at bert.encoder.layer.1.attention.self.key."));
}

TEST_CASE("of gradients that are not finite the last is named", "[train]") {
  const std::vector<Parameter> parameters{
      {"first", at::zeros({2})}, {"second", at::zeros({2})}, {"third", at::zeros({2})}};
  const Tensor good = at::ones({2}), bad = at::tensor({1.0F, INFINITY});
  CHECK(first_bad_gradient(parameters, {bad, bad, good}) == "second");
  CHECK(first_bad_gradient(parameters, {good, {}, good}).empty());
}
