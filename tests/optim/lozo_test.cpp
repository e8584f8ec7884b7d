// LOZO's directions have the rank asked for, what it moves by is what it looked along, and its
// momentum is the one of its equations.

#include <cmath>

#include "tests/optim/spy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

constexpr double epsilon = 1e-3;

std::vector<Parameter> one_matrix() {
  return {{"weight", numbers({9, 12}, 1), true, 1, std::nullopt}};
}

int64_t rank_of(const Tensor& x) {
  return at::linalg_matrix_rank(x, /*tol=*/1e-8 * x.norm().item<double>()).item<int64_t>();
}

Tensor looked_along(const Spy& spy, const Place& before) {
  return added(spy.seen.at(0), before, -1).at(0) / epsilon;
}

Tensor state_of(Optimizer& optimizer, const std::string& name) {
  for (const auto& [key, tensor] : optimizer.state())
    if (key == name) return tensor.clone();
  FAIL("no state " << name);
  return {};
}

}  // namespace

TEST_CASE("LOZO moves along what it looked along, at refreshes too", "[optim]") {
  const int64_t rank = GENERATE(1, 3), interval = GENERATE(1, 2, 50);
  const bool unbiased = GENERATE(false, true);
  CAPTURE(rank, interval, unbiased);
  const std::vector<Parameter> parameters = one_matrix();
  const auto optimizer = make_optimizer({"lozo",
                                         {{"lr", 0.01},
                                          {"epsilon", epsilon},
                                          {"rank", rank},
                                          {"interval", interval},
                                          {"unbiased", unbiased}}},
                                        parameters);
  CHECK(optimizer->state().empty());
  Spy spy(parameters);
  Tensor last;
  for (int64_t step = 0; step < 6; ++step) {
    CAPTURE(step);
    const Place before = place_of(parameters);
    spy.step(*optimizer, step);
    const Tensor d = looked_along(spy, before);
    CHECK(rank_of(d) == rank);
    const double slope = dot(spy.gradient(before), {d});
    const double kappa = unbiased ? 1.0 / static_cast<double>(rank) : 1;
    const Place want = added(before, {d}, -0.01 * kappa * slope);
    CHECK(distance(place_of(parameters), want) < 1e-10);
    // one V through an interval, another in the next; always another U
    if (step > 0) {
      const bool same_v = step % interval != 0;
      CHECK(rank_of(at::cat({d, last})) == (same_v ? rank : 2 * rank));
      CHECK(rank_of(at::cat({d, last}, 1)) == 2 * rank);
    }
    last = d;
  }
}

TEST_CASE("LOZO's tensors of other dimensions", "[optim]") {
  const std::vector<Parameter> parameters = {
      {"bias", numbers({30}, 1), false, 1, std::nullopt},
      {"cube", numbers({6, 4, 5}, 2), true, 1, std::nullopt},
      {"number", numbers({1}, 3).squeeze(), true, 1, std::nullopt}};
  const auto name = GENERATE(as<std::string>(), "lozo", "lozo_m");
  const auto optimizer =
      make_optimizer({name, {{"lr", 0.01}, {"epsilon", epsilon}, {"rank", 2}}}, parameters);
  Spy spy(parameters);
  const Place before = place_of(parameters);
  spy.step(*optimizer, 0);
  const Place u = added(spy.seen[0], before, -1);
  CHECK(rank_of(u[1].view({6, 20})) == 2);
  const double slope = dot(spy.gradient(before), u) / epsilon;
  CHECK(distance(place_of(parameters), added(before, u, -0.01 * slope / epsilon)) < 1e-10);
}

TEST_CASE("LOZO's estimate is rank times the gradient on average", "[optim]") {
  // E⟨G, UVᵀ⟩² = r |G|²: the mean of ⟨G, ⟨G, UVᵀ⟩ UVᵀ⟩ is ⟨G, r G⟩
  const int64_t rank = GENERATE(1, 2);
  const bool unbiased = GENERATE(false, true);
  CAPTURE(rank, unbiased);
  const std::vector<Parameter> parameters = {{"weight", at::zeros({4, 6}, at::kDouble)}};
  const Tensor g = numbers({4, 6}, 7) / numbers({4, 6}, 7).norm();
  const auto optimizer = make_optimizer(
      {"lozo", {{"lr", 1.0}, {"rank", rank}, {"interval", 1}, {"unbiased", unbiased}}}, parameters);
  constexpr int64_t draws = 8000;
  const Tensor moved = at::empty({draws}, at::kDouble);
  for (int64_t i = 0; i < draws; ++i) {
    parameters[0].tensor.zero_();
    optimizer->step_by_loss(
        {i, 3, 1.0, [&] { return (g * parameters[0].tensor).sum().item<double>(); }});
    moved[i] = -(g * parameters[0].tensor).sum();
  }
  const double error = moved.std().item<double>() / std::sqrt(static_cast<double>(draws));
  const double want = unbiased ? 1 : static_cast<double>(rank);
  CHECK(std::abs(moved.mean().item<double>() - want) < 4 * error);
  CHECK(error < 0.1);
}

TEST_CASE("LOZO-M's momentum is re-expressed when V is drawn anew", "[optim]") {
  const int64_t interval = GENERATE(1, 2, 3);
  CAPTURE(interval);
  const std::vector<Parameter> parameters = one_matrix();
  constexpr double lr = 0.01, beta = 0.9;
  const auto optimizer = make_optimizer(
      {"lozo_m",
       {{"lr", lr}, {"epsilon", epsilon}, {"rank", 3}, {"interval", interval}, {"momentum", beta}}},
      parameters);
  Spy spy(parameters);
  Tensor n, v;  // of the step before
  for (int64_t step = 0; step < 7; ++step) {
    CAPTURE(step);
    const Place before = place_of(parameters);
    spy.step(*optimizer, step);
    const Tensor d = looked_along(spy, before);  // U Vᵀ
    const Tensor got = state_of(*optimizer, "momentum/weight");
    REQUIRE(got.sizes() == at::IntArrayRef({9, 3}));
    // ΔX = -lr N Vᵀ gives V, and U Vᵀ then U
    const Tensor now = (at::linalg_pinv(got).mm(place_of(parameters)[0] - before[0]) / -lr).t();
    const Tensor u = d.mm(at::linalg_pinv(now.t()));
    CHECK((u.mm(now.t()) - d).abs().max().item<double>() < 1e-8);
    if (step > 0 && step % interval != 0) CHECK((v - now).abs().max().item<double>() < 1e-8);
    const double slope = dot(spy.gradient(before), {d});
    Tensor want = slope * u;
    if (step > 0) {
      if (step % interval == 0) n = n.mm(v.t()).mm(now) / 12;
      want = beta * n + (1 - beta) * slope * u;
    }
    CHECK((want - got).abs().max().item<double>() < 1e-8 * got.abs().max().item<double>());
    n = got;
    v = now;
  }
}
