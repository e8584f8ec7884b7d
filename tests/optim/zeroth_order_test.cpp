// Optimizers without gradients are their equations: where they looked gives the directions, and
// these give where they must be.

#include <cmath>

#include "lib/core/error.h"
#include "tests/optim/spy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

constexpr double lr = 0.01, epsilon = 1e-3, decay = 0.1, factor = 0.5;

const std::vector<std::string>& gradient_free() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const OptimizerEntry& entry : optimizers())
      if (entry.name != "adamw" && entry.name != "lora_rite") names.push_back(entry.name);
    return names;
  }();
  return all;
}

Json options_of(const std::string& name, Json more = Json::object()) {
  Json options = {{"lr", lr}, {"weight_decay", decay}};
  if (name != "forward_grad") options["epsilon"] = epsilon;
  options.update(more);
  return options;
}

/// lr · factor of every parameter.
double lr_of(const Parameter& p) {
  return lr * factor * p.lr_scale;
}

/// θ (1 - lr wd) - lr · by
Place moved(const std::vector<Parameter>& parameters, const Place& from, const Place& by) {
  Place to;
  for (size_t i = 0; i < from.size(); ++i) {
    const double keep = 1 - lr_of(parameters[i]) * (parameters[i].decays ? decay : 0);
    to.push_back(keep * from[i] - lr_of(parameters[i]) * by[i]);
  }
  return to;
}

/// 1/q Σ weight(∇F·u) u over the directions u that a step looked along from `from`.
Place estimated(const Spy& spy, const Place& from, size_t directions, bool one_sided, bool scalar) {
  Place sum = added(from, from, -1);
  for (size_t i = 0; i < directions; ++i) {
    const Place& at = one_sided ? spy.seen.at(1 + i) : spy.seen.at(2 * i);
    Place u = added(at, from, -1);
    for (Tensor& t : u) t = t / epsilon;
    double slope = dot(spy.gradient(from), u);
    if (one_sided) slope = (spy.loss(at) - spy.loss(from)) / epsilon;
    if (scalar) slope = slope > 0 ? 1 : -1;
    sum = added(sum, u, slope / static_cast<double>(directions));
  }
  return sum;
}

/// What is remembered of earlier steps by the test itself.
struct Memory {
  Place first, second;
  int64_t steps = 0;
};

Place by_rule(const std::string& name, const Place& estimate, Memory& memory) {
  ++memory.steps;
  if (memory.first.empty()) memory.first = memory.second = added(estimate, estimate, -1);
  Place by;
  for (size_t i = 0; i < estimate.size(); ++i) {
    const Tensor& g = estimate[i];
    Tensor &m = memory.first[i], &v = memory.second[i];
    if (name == "zo_sgd_sign") {
      by.push_back(g.sign());
    } else if (name == "zo_sgd_momentum") {
      m = 0.9 * m + g;
      by.push_back(m);
    } else if (name == "zo_adam") {
      const auto t = static_cast<double>(memory.steps);
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      const Tensor root = (v / (1 - std::pow(0.999, t))).sqrt() + 1e-8;
      by.push_back(m / (1 - std::pow(0.9, t)) / root);
    } else {
      by.push_back(g);
    }
  }
  return by;
}

}  // namespace

TEST_CASE("the tests visit every optimizer without gradients", "[optim]") {
  CHECK(gradient_free().size() == 8);
}

TEST_CASE("a step by losses is its equation", "[optim]") {
  const auto name =
      GENERATE(as<std::string>(), "zo_sgd", "zo_sgd_momentum", "zo_sgd_sign", "zo_adam");
  const bool one_sided = GENERATE(false, true);
  const int64_t directions = GENERATE(1, 3);
  CAPTURE(name, one_sided, directions);
  const std::vector<Parameter> parameters = small_parameters();
  const auto optimizer = make_optimizer(
      {name, options_of(name, {{"one_sided", one_sided}, {"directions", directions}})}, parameters);
  CHECK(!optimizer->uses_gradients());
  Spy spy(parameters);
  Memory memory;
  for (int64_t step = 0; step < 4; ++step) {
    CAPTURE(step);
    const Place before = place_of(parameters);
    const double reported = spy.step(*optimizer, step, factor);
    REQUIRE(spy.seen.size() == static_cast<size_t>(one_sided ? 1 + directions : 2 * directions));
    const Place g = estimated(spy, before, static_cast<size_t>(directions), one_sided, false);
    const Place want = moved(parameters, before, by_rule(name, g, memory));
    CHECK(distance(place_of(parameters), before) > 1e-4);
    // the differences of losses have lost 1e-16 · |F| / ε
    CHECK(distance(place_of(parameters), want) < 1e-10);
    CHECK(reported == Approx(spy.loss(before)).epsilon(one_sided ? 1e-14 : 1e-3));
  }
}

TEST_CASE("the sign of the slope is what `scalar` takes", "[optim]") {
  const std::vector<Parameter> parameters = small_parameters();
  const auto optimizer = make_optimizer(
      {"zo_sgd_sign", options_of("zo_sgd_sign", {{"scalar", true}, {"directions", 2}})},
      parameters);
  Spy spy(parameters);
  const Place before = place_of(parameters);
  spy.step(*optimizer, 0, factor);
  const Place want = moved(parameters, before, estimated(spy, before, 2, false, true));
  CHECK(distance(place_of(parameters), want) < 1e-11);
}

TEST_CASE("forward gradients follow the slope along the direction", "[optim]") {
  const std::vector<Parameter> parameters = small_parameters();
  const auto optimizer =
      make_optimizer({"forward_grad", options_of("forward_grad", {{"directions", 2}})}, parameters);
  Spy spy(parameters);
  for (int64_t step = 0; step < 3; ++step) {
    const Place before = place_of(parameters);
    CHECK(spy.step(*optimizer, step, factor) == spy.loss(before));
    REQUIRE(spy.seen.size() == 2);
    Place g = added(before, before, -1);
    for (const Place& u : spy.seen) g = added(g, u, dot(spy.gradient(before), u) / 2);
    CHECK(distance(place_of(parameters), moved(parameters, before, g)) < 1e-13);
  }
}

TEST_CASE("the conservative step takes the best of three", "[optim]") {
  // losses: F(θ + εu), F(θ - εu), F(θ), F(θ - ηĝ), F(θ + ηĝ)
  struct Script {
    std::vector<double> losses;
    double went;  // in -ηĝ
  };
  const auto script = GENERATE(values<Script>({{{2, 1, 5, 3, 4}, 1},
                                               {{2, 1, 5, 4, 3}, -1},
                                               {{2, 1, 3, 4, 5}, 0},
                                               {{2, 1, 3, 3, 5}, 1},      // staying is no better
                                               {{2, 1, 3, 5, 3}, -1},     // nor here
                                               {{2, 1, 5, 3, 3}, -1}}));  // a tie of both
  const double wd = GENERATE(0.0, 0.1);
  CAPTURE(script.losses, wd);
  const std::vector<Parameter> parameters = small_parameters();
  const auto optimizer = make_optimizer(
      {"zo_sgd_conserve", options_of("zo_sgd_conserve", {{"weight_decay", wd}})}, parameters);
  Spy spy(parameters);
  const Place before = place_of(parameters);
  spy.step(*optimizer, 0, factor, script.losses);
  REQUIRE(spy.seen.size() == 5);
  Place u = added(spy.seen[0], before, -1);
  const double slope = (2 - 1) / (2 * epsilon);
  for (size_t i = 0; i < u.size(); ++i) u[i] = u[i] / epsilon * slope * lr_of(parameters[i]);
  CHECK(distance(spy.seen[2], before) < 1e-12);
  CHECK(distance(spy.seen[3], added(before, u, -1)) < 1e-12);
  CHECK(distance(spy.seen[4], added(before, u, 1)) < 1e-12);
  Place want = added(before, u, -script.went);
  for (size_t i = 0; i < want.size(); ++i)
    if (script.went != 0 && parameters[i].decays)
      want[i] = want[i] - lr_of(parameters[i]) * wd * before[i];
  CHECK(distance(place_of(parameters), want) < 1e-12);
}

TEST_CASE("steps, directions and parameters have directions of their own", "[optim]") {
  const auto name = GENERATE(as<std::string>(), "zo_sgd", "lozo");
  CAPTURE(name);
  // equal shapes: only the names differ
  const std::vector<Parameter> parameters = {{"a", numbers({40, 50}, 1), true, 1, std::nullopt},
                                             {"b", numbers({40, 50}, 2), true, 1, std::nullopt}};
  const auto optimizer = make_optimizer({name, options_of(name, {{"directions", 2}})}, parameters);
  Spy spy(parameters);
  std::vector<Tensor> all;
  for (int64_t step = 0; step < 2; ++step) {
    const Place before = place_of(parameters);
    spy.step(*optimizer, step, factor);
    for (const size_t look : {size_t{0}, size_t{2}})
      for (const Tensor& u : added(spy.seen[look], before, -1))
        all.push_back(u.flatten() / u.norm());
  }
  REQUIRE(all.size() == 8);
  // 2000 numbers: 0.022; low rank (4 · 40 of a shared V): 0.08
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      CHECK(std::abs(all[i].dot(all[j]).item<double>()) < (name == "lozo" ? 0.4 : 0.12));
}

TEST_CASE("without a slope the parameters end where they began", "[optim]") {
  for (const std::string& name : gradient_free()) {
    CAPTURE(name);
    const std::vector<Parameter> parameters = small_parameters();
    const auto optimizer =
        make_optimizer({name, options_of(name, {{"weight_decay", 0}})}, parameters);
    Spy spy(parameters);
    const Place before = place_of(parameters);
    if (name == "forward_grad") continue;  // it does not move to look
    for (int64_t step = 0; step < 3; ++step) spy.step(*optimizer, step, factor, {1, 1, 0, 1, 1});
    CHECK(distance(place_of(parameters), before) < 1e-15);
  }
}

TEST_CASE("a loss that throws leaves the parameters where they were", "[optim]") {
  for (const std::string& name : gradient_free()) {
    if (name == "forward_grad") continue;
    const size_t looks = name == "zo_sgd_conserve" ? 7 : 4;
    for (size_t bad = 0; bad < looks; ++bad) {
      CAPTURE(name, bad);
      const std::vector<Parameter> parameters = small_parameters();
      const auto optimizer =
          make_optimizer({name, options_of(name, {{"directions", 2}})}, parameters);
      const Place before = place_of(parameters);
      size_t look = 0;
      const LossStep step{0, 5, 1.0, [&]() -> double {
                            if (look++ == bad) fail("no loss");
                            return static_cast<double>(look);
                          }};
      CHECK_THROWS_AS(optimizer->step_by_loss(step), Error);
      CHECK(look == bad + 1);
      CHECK(distance(place_of(parameters), before) < 1e-13);
    }
  }
}

TEST_CASE("what moving there and back rounds off stays small in fp32", "[optim]") {
  const auto name = GENERATE(as<std::string>(), "zo_sgd", "lozo");
  CAPTURE(name);
  // a model's weights: deviation 0.02
  const std::vector<Parameter> parameters = {
      {"weight", (0.02 * numbers({300, 400}, 1)).to(at::kFloat), true, 1, std::nullopt}};
  const auto optimizer =
      make_optimizer({name, {{"lr", 1e-6}, {"epsilon", 1e-3}, {"directions", 1}}}, parameters);
  const Tensor before = parameters[0].tensor.clone();
  constexpr int64_t steps = 1000;
  for (int64_t step = 0; step < steps; ++step)
    optimizer->step_by_loss({step, 5, 1.0, [] { return 1.0; }});
  const double drift = (parameters[0].tensor - before).pow(2).mean().sqrt().item<double>();
  WARN(name << ": 1000 steps of no slope moved weights of 0.02 by " << drift);
  // three roundings a step, each at most half a unit in the last place of 0.02 … 0.04, at random
  CHECK(drift < std::sqrt(3.0 * steps) * 0.5 * 0x1p-28);
}

TEST_CASE("where the learning rate is zero the loss is looked at, and nothing else", "[optim]") {
  for (const std::string& name : gradient_free()) {
    if (name == "forward_grad") continue;
    CAPTURE(name);
    const std::vector<Parameter> parameters = small_parameters();
    const auto optimizer = make_optimizer({name, options_of(name)}, parameters);
    Spy spy(parameters);
    const Place before = place_of(parameters);
    CHECK(spy.step(*optimizer, 0, 0) == spy.loss(before));
    CHECK(spy.seen.size() == 1);
    CHECK(distance(place_of(parameters), before) == 0);
  }
}
