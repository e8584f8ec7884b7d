// XGBLoRA's boosters: one after another they change the model by products of rank 1, in layers
// that are a function of seed and booster; the others stand still.

#include <set>

#include "lib/core/error.h"
#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

AdapterOptions options_of(const char* method, const Json& options) {
  AdapterOptions all;
  all.method = {method, options};
  return all;
}

/// bert-tiny-wide (two layers) in training on the golden's batch.
struct Run {
  Run(const char* method, const Json& options, const TrainingPlan& plan)
      : model("bert-tiny-wide", options_of(method, options)),
        objective(model.model(), model.set(), model.collate_options(), 0),
        parameters(parameters_of(model.trained())),
        step(objective, parameters, pool,
             {.clip = 0, .training = false, .adapters = model.trained().set.get()}),
        optimizer(
            make_optimizer({"adamw", Json{{"lr", 1e-2}, {"weight_decay", 0.5}}}, parameters)) {
    model.trained().set->begin(plan);
  }
  double train(int64_t index) { return step.run(index, {items_until(5)}, *optimizer, 1.0).loss; }
  Tensor logits() {
    const torch::NoGradGuard no_grad;
    return model.model().logits(model.batch(), {});
  }
  Tensor tensor(int64_t layer, const std::string& name) const {
    const std::string full =
        "bert.encoder.layer." + std::to_string(layer) + ".attention.self." + name;
    for (const NamedTensor& t : model.trained().tensors)
      if (t.name == full) return t.tensor;
    FAIL("there is no " << full);
    return {};
  }
  /// The factors of one layer's query and value.
  std::vector<Tensor> factors(int64_t layer) const {
    std::vector<Tensor> all;
    for (const char* name : {"query.A", "query.B", "value.A", "value.B"})
      all.push_back(tensor(layer, name).clone());
    return all;
  }
  /// Whether anything is in them.
  static bool any(const std::vector<Tensor>& tensors) {
    return std::any_of(tensors.begin(), tensors.end(),
                       [](const Tensor& t) { return t.any().item<bool>(); });
  }

  GoldenModel model;
  backend::ShardPool pool{1};
  LabelObjective objective;
  std::vector<Parameter> parameters;
  TrainStep step;
  std::unique_ptr<Optimizer> optimizer;
};

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!torch::equal(a[i], b[i])) return false;
  return a.size() == b.size();
}

}  // namespace

TEST_CASE("a booster moves its layers and no other, whatever decays", "[laws]") {
  std::set<std::vector<bool>> choices;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Run run("xgblora", {{"boosters", 4}, {"sampled_layers", 1}}, {12, 0, seed});
    std::vector<bool> chosen;
    for (int64_t step = 0; step < 12; ++step) {
      CAPTURE(seed, step);
      const std::vector<std::vector<Tensor>> before{run.factors(0), run.factors(1)};
      // Of two layers one is sampled: the other's factors are zeros.
      REQUIRE(Run::any(before[0]) != Run::any(before[1]));
      if (step % 3 == 0) chosen.push_back(Run::any(before[1]));
      const int64_t sampled = chosen.back() ? 1 : 0;
      CHECK(Run::any(before[static_cast<size_t>(sampled)]));
      run.train(step);
      if (step % 3 == 2) continue;  // the next booster's begin here
      CHECK(!same(run.factors(sampled), before[static_cast<size_t>(sampled)]));
      CHECK(same(run.factors(1 - sampled), before[static_cast<size_t>(1 - sampled)]));
    }
    // A slot of a finished booster is filled in the layers that it had.
    for (int64_t layer = 0; layer < 2; ++layer)
      for (size_t booster = 0; booster < 3; ++booster)
        CHECK(run.tensor(layer, "value.B_sum")
                  .narrow(1, static_cast<int64_t>(booster), 1)
                  .any()
                  .item<bool>() == (chosen[booster] == (layer == 1)));
    choices.insert(chosen);
  }
  CHECK(choices.size() > 1);  // another seed, other layers
}

TEST_CASE("there are as many boosters as asked for, of equal lengths or nearly so", "[laws]") {
  const auto boosters = GENERATE(1, 3, 4, 6, 7, 10);
  CAPTURE(boosters);
  // The steps that end a booster, and whether the next one trains the first layer.
  const auto ends = [&](int64_t from) {
    Run run("xgblora", {{"boosters", boosters}, {"sampled_layers", 1}}, {10, from, 3});
    std::vector<Tensor> none;
    const StepGradients gradients(none, none);
    const torch::NoGradGuard no_grad;
    std::vector<std::pair<int64_t, bool>> found;
    for (int64_t step = from; step < 10; ++step)
      if (!run.model.trained().set->after_update(step, gradients).empty())
        found.emplace_back(step, Run::any(run.factors(0)));
    return found;
  };
  const auto whole = ends(0);
  REQUIRE(static_cast<int>(whole.size()) + 1 == boosters);
  std::vector<int64_t> lengths;
  int64_t begin = 0;
  for (const auto& [step, is_first] : whole)
    lengths.push_back(step + 1 - std::exchange(begin, step + 1));
  lengths.push_back(10 - begin);
  const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
  CHECK(*most - *least <= 1);
  for (int64_t from = 1; from < 10; ++from) {  // a run that is resumed there
    auto rest = whole;
    std::erase_if(rest, [&](const auto& end) { return end.first < from; });
    CHECK(ends(from) == rest);
  }
}

TEST_CASE("ending a booster does not change the model", "[laws]") {
  Run run("xgblora", {{"boosters", 3}, {"rank", 2}, {"scale", 1.5}}, {9, 0, 7});
  const Tensor start = run.logits();
  run.train(0);
  run.train(1);
  // The third step's update and the end of the booster, one after the other.
  std::vector<Tensor> none;
  const StepGradients gradients(none, none);
  const torch::NoGradGuard no_grad;
  const Tensor before = run.logits();
  CHECK((before - start).abs().max().item<double>() > 1e-3);
  const auto anew = run.model.trained().set->after_update(2, gradients);
  CHECK(anew.size() == 2 * 4);
  check_close("logits", run.logits(), before, 1e-6);
  CHECK(!run.tensor(0, "query.B").any().item<bool>());
  CHECK(!run.tensor(1, "query.B").any().item<bool>());
}

TEST_CASE("one booster of all layers is LoRA", "[laws]") {
  Run lora("lora", {{"rank", 4}, {"alpha", 8.0}}, {5, 0, 1});
  Run boosted("xgblora", {{"boosters", 1}, {"sampled_layers", 2}, {"rank", 4}, {"scale", 2.0}},
              {5, 0, 1});
  {
    const torch::NoGradGuard no_grad;
    for (int64_t layer = 0; layer < 2; ++layer)
      for (const std::string part : {"query", "value"})
        boosted.tensor(layer, part + ".A").copy_(lora.tensor(layer, part + ".lora_A"));
  }
  for (int64_t step = 0; step < 5; ++step) CHECK(boosted.train(step) == lora.train(step));
  CHECK(torch::equal(boosted.tensor(1, "value.B"), lora.tensor(1, "value.lora_B")));
}

TEST_CASE("XGBLoRA's norm penalty is of the factors in training", "[laws]") {
  Run run("xgblora", {{"boosters", 2}, {"sampled_layers", 1}, {"norm_penalty", 0.1}}, {4, 0, 1});
  double want = 0;
  for (int64_t layer = 0; layer < 2; ++layer)
    for (const Tensor& t : run.factors(layer)) want += 0.1 * t.square().sum().item<double>();
  CHECK(run.model.trained().set->penalty().item<double>() == Approx(want).epsilon(1e-6));
  CHECK(want > 0);
  const Run free("xgblora", Json::object(), {4, 0, 1});
  CHECK(!free.model.trained().set->penalty().defined());
}

TEST_CASE("XGBLoRA refuses what it has no place for", "[laws]") {
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(Run("xgblora", {{"boosters", 3}, {"booster_steps", 3}}, {10, 0, 1}),
                    Contains("/adapter/method/booster_steps") && Contains("4 boosters"));
  const auto check = [](const Json& options, int64_t steps) {
    GoldenModel("bert-tiny-wide", options_of("xgblora", options))
        .trained()
        .set->check({steps, 0, 1});
  };
  CHECK_THROWS_WITH(
      check({{"boosters", 8}, {"booster_steps", 3}}, 10),
      Contains("/adapter/method/boosters") && Contains("4 boosters, fewer than the 8"));
  CHECK_THROWS_WITH(
      check({{"boosters", 11}}, 10),
      Contains("/adapter/method/boosters: 11 boosters, but the run has only 10 steps"));
  CHECK_NOTHROW(check({{"boosters", 10}}, 10));
  CHECK_THROWS_WITH(Run("xgblora", {{"sampled_layers", 3}}, {10, 0, 1}),
                    Contains("/adapter/method/sampled_layers: 3 is more than the 2 layers"));
  Run run("xgblora", {{"boosters", 3}, {"booster_steps", 4}}, {10, 0, 1});
  CHECK_NOTHROW(run.model.trained().set->check({10, 0, 1}));
  run.train(0);
  CHECK_THROWS_WITH(run.model.trained().set->check({10, 0, 1}), Contains("start_from"));
}
