// What AdaLoRA and RM-LoRA do around a step, through the methods as a run has them.

#include "lib/core/error.h"
#include "tests/laws/toy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

using Catch::Matchers::Contains;

Case case_of(const char* method, Json options) {
  return {&adapter_method(method), std::move(options)};
}

/// The method on the Toy with made-up gradients.
struct Steps {
  explicit Steps(const Case& c) : adapted(c, torch::kFloat) {
    adapted.shake();
    for (const auto& [name, tensor] : adapted.trained.parameters) {
      names.push_back(name);
      tensors.push_back(tensor);
    }
  }
  AdapterSet& set() { return *adapted.trained.set; }

  void draw_gradients(int64_t step) {
    gradients.clear();
    for (size_t i = 0; i < tensors.size(); ++i)
      gradients.push_back(Toy::values(tensors[i], 1000 * (static_cast<uint64_t>(step) + 1) + i));
  }
  /// An update that moves every number, and the hooks around it.
  void run(int64_t step) {
    const torch::NoGradGuard no_grad;
    draw_gradients(step);
    set().before_update(step, {tensors, gradients});
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].sub_(0.01 * gradients[i] + 0.001);
    set().after_update(step, {tensors, gradients});
  }
  int64_t kept() const {
    int64_t count = 0;
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i].ends_with("lora_E")) count += tensors[i].count_nonzero().item<int64_t>();
    return count;
  }
  /// The directions of a tensor that got a gradient in the last step: rows of A, columns of B.
  Tensor moved(size_t i) const {
    return (gradients[i] != 0).any(names[i].ends_with("lora_A") ? 1 : 0);
  }
  /// Whether all of each such row or column did, or nothing.
  bool is_whole(size_t i) const {
    return torch::equal(moved(i), (gradients[i] != 0).all(names[i].ends_with("lora_A") ? 1 : 0));
  }

  Adapted adapted;
  std::vector<std::string> names;
  std::vector<Tensor> tensors, gradients;
};

}  // namespace

TEST_CASE("AdaLoRA with its defaults ends at the target rank, however long a run is", "[laws]") {
  const int64_t total = GENERATE(2, 3, 4, 5, 6, 7, 8, 9, 13, 50, 101, 1300);
  CAPTURE(total);
  Steps steps(case_of("adalora", {{"rank", 3}}));
  steps.set().begin({total, 0, 1});
  CHECK(steps.kept() == 4 * 3);  // query, value, dense, no_bias
  for (int64_t step = 0; step < total; ++step) steps.run(step);
  CHECK(steps.kept() == 4 * 2);
}

TEST_CASE("AdaLoRA accepts a run of any length, and refuses what leaves no step", "[laws]") {
  const auto begin = [](const Json& options, int64_t total) {
    Steps(case_of("adalora", options)).set().begin({total, 0, 1});
  };
  Steps steps(case_of("adalora", Json::object()));
  for (int64_t total = 1; total < 2000; ++total) CHECK_NOTHROW(steps.set().begin({total, 0, 1}));
  CHECK_NOTHROW(begin({{"init_steps", 60}, {"final_steps", 39}}, 100));
  CHECK_THROWS_WITH(
      begin({{"init_steps", 60}, {"final_steps", 40}}, 100),
      Contains("init_steps (60)") && Contains("final_steps (40)") && Contains("100 steps"));
  CHECK_THROWS_WITH(begin({{"init_steps", 60}}, 100), Contains("final_steps (48, from null)"));
  CHECK_THROWS_WITH(begin({{"final_steps", 90}}, 100), Contains("init_steps (13, from null)"));
  CHECK_THROWS_WITH(begin({{"final_steps", 1}}, 100), Contains("final_steps"));
}

TEST_CASE("what is asked for beyond the rank is refused", "[laws]") {
  CHECK_THROWS_WITH(Steps(case_of("adalora", {{"rank", 4}, {"target_rank", 5}})),
                    Contains("/adapter/method/target_rank") && Contains("5") && Contains("4"));
  CHECK_THROWS_WITH(Steps(case_of("rm_lora", {{"rank", 4}, {"random_rank", 5}})),
                    Contains("/adapter/method/random_rank") && Contains("5") && Contains("4"));
}

TEST_CASE("methods that work on gradients say so, and the others do without", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  Steps steps(c);
  CHECK(steps.set().needs_gradients() ==
        (c.method->name == "adalora" || c.method->name == "rm_lora"));
  if (steps.set().needs_gradients()) return;
  const torch::NoGradGuard no_grad;
  steps.set().begin({10, 0, 1});
  steps.gradients.assign(steps.tensors.size(), {});  // as a step by the loss alone leaves them
  for (int64_t step = 0; step < 10; ++step)
    CHECK_NOTHROW(steps.set().after_update(step, {steps.tensors, steps.gradients}));
}

TEST_CASE("without its weight the distance from orthogonality is not counted", "[laws]") {
  const auto method = GENERATE(as<std::string>(), "adalora", "rm_lora");
  const auto penalty = [&](const Json& options) {
    return Steps(case_of(method.c_str(), options)).set().penalty();
  };
  CHECK(!penalty({{"orthogonality", 0.0}}).defined());
  const Tensor one = penalty({{"orthogonality", 1.0}}), two = penalty({{"orthogonality", 2.0}});
  CHECK(one.item<double>() > 0.1);
  CHECK(two.item<double>() == Approx(2 * one.item<double>()).epsilon(1e-6));
}

TEST_CASE("RM-LoRA masks from the second step on, as many directions as it says", "[laws]") {
  const auto variant = GENERATE(as<std::string>(), "v1", "v2");
  CAPTURE(variant);
  Steps steps(case_of("rm_lora", {{"rank", 4}, {"random_rank", 3}, {"variant", variant}}));
  REQUIRE(steps.names.size() == 8);
  steps.run(0);
  for (const Tensor& gradient : steps.gradients)
    CHECK(gradient.count_nonzero().item<int64_t>() == gradient.numel());
  std::vector<Tensor> counts(8, torch::zeros({4}));
  int64_t alike = 0;
  for (int64_t step = 1; step <= 200; ++step) {
    steps.run(step);
    for (size_t i = 0; i < 8; ++i) {
      REQUIRE(steps.is_whole(i));
      REQUIRE(steps.moved(i).sum().item<int64_t>() == 3);
      counts[i] = counts[i] + steps.moved(i);
      if (i % 2 == 1) alike += torch::equal(steps.moved(i), steps.moved(i - 1));
    }
  }
  // 150 of 200 are expected of each, with a deviation of 6
  for (const Tensor& count : counts) CHECK((count - 150).abs().max().item<double>() < 30);
  if (variant == "v1")
    CHECK(alike == 4 * 200);
  else  // a quarter: 200, with a deviation of 12
    CHECK(std::abs(alike - 200) < 60);
}

TEST_CASE("RM-LoRA's masks depend on the seed, the layer and the step alone", "[laws]") {
  const Case c = case_of("rm_lora", {{"rank", 6}, {"random_rank", 3}});
  Steps one(c), other(c);
  const auto masks = [](Steps& steps, int64_t step) {
    steps.run(step);
    std::vector<Tensor> all;
    for (size_t i = 0; i < steps.names.size(); ++i) all.push_back(steps.moved(i));
    return torch::stack(all);
  };
  const Tensor seventh = masks(one, 7);
  CHECK(!torch::equal(seventh[0], seventh[2]));  // of two layers
  CHECK(!torch::equal(masks(one, 8), seventh));
  for (int64_t step = 1; step < 5; ++step) other.run(step);
  CHECK(torch::equal(masks(other, 7), seventh));
}

TEST_CASE("RM-LoRA's masked rows stay or move, as its option says", "[laws]") {
  const auto masked = GENERATE(as<std::string>(), "moments", "frozen");
  CAPTURE(masked);
  Steps steps(case_of("rm_lora", {{"rank", 4}, {"random_rank", 1}, {"masked", masked}}));
  std::vector<Tensor> before;
  for (const Tensor& t : steps.tensors) before.push_back(t.detach().clone());
  steps.run(3);  // moves every number, those without a gradient too
  for (size_t i = 0; i < steps.tensors.size(); ++i) {
    const Tensor changed =
        (steps.tensors[i].detach() != before[i]).any(steps.names[i].ends_with("lora_A") ? 1 : 0);
    CHECK(changed.sum().item<int64_t>() == (masked == "frozen" ? 1 : 4));
    if (masked == "frozen") CHECK(torch::equal(changed, steps.moved(i)));
  }
}

TEST_CASE("a scale of zero, with which nothing would be learned, is refused", "[laws]") {
  const auto method =
      GENERATE(as<std::string>(), "lora", "mtlora", "dora", "lora_mini", "lorta", "rm_lora");
  CAPTURE(method);
  CHECK_THROWS_WITH(adapter_method(method).start({{"alpha", 0.0}}),
                    Contains("/adapter/method/alpha: 0") && Contains("above 0"));
  CHECK_THROWS_WITH(adapter_method("xgblora").start({{"scale", 0.0}}),
                    Contains("/adapter/method/scale: 0"));
  CHECK_NOTHROW(adapter_method("adalora").start({{"alpha", 0.0}}));  // there: about 1
}

TEST_CASE("RM-LoRA has no pair for LoRA-RITE, which would move masked rows", "[laws]") {
  CHECK(Adapted(case_of("rm_lora", Json::object())).trained.pairs.empty());
}
