// AdaLoRA's budget falls as its equation says, as many terms are kept as it allows, and what is
// saved of it goes on as if nothing had happened; the distance from orthogonality.

#include "lib/adapters/rank_budget.h"

#include "lib/adapters/orthogonality.h"
#include "lib/core/random.h"
#include "tests/support/golden.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Tensor draw(at::IntArrayRef shape, uint64_t key) {
  Tensor values = torch::empty(shape, torch::kDouble);
  Random random(key);
  for (int64_t i = 0; i < values.numel(); ++i) values.data_ptr<double>()[i] = random.normal();
  return values;
}

/// Three changes of rank 4 that move at random, and their budget.
struct Walk {
  explicit Walk(BudgetSchedule over) : schedule(over) {
    for (int64_t i = 0; i < 3; ++i) {
      const auto key = static_cast<uint64_t>(i);
      for (const auto& shape : std::vector<std::vector<int64_t>>{{4, 5 + i}, {7 - i, 4}, {4, 1}})
        tensors.push_back(draw(shape, combine(key, static_cast<uint64_t>(shape[0]))));
      const size_t at = tensors.size() - 3;
      budget.add({"change" + std::to_string(i), tensors[at], tensors[at + 1], tensors[at + 2]});
    }
  }
  void step(int64_t t) {
    std::vector<Tensor> gradients;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const uint64_t key = combine(static_cast<uint64_t>(t), i);
      gradients.push_back(draw(tensors[i].sizes(), key));
      tensors[i] += 0.1 * draw(tensors[i].sizes(), combine(key, 1));
    }
    budget.after_update(schedule, t, {tensors, gradients});
  }
  int64_t kept() const {
    int64_t count = 0;
    for (size_t i = 2; i < tensors.size(); i += 3)
      count += tensors[i].count_nonzero().item<int64_t>();
    return count;
  }

  BudgetSchedule schedule;
  std::vector<Tensor> tensors;  // A, B, E of each
  RankBudget budget{0.85, 0.85};
};

const BudgetSchedule forty{.first = 12,
                           .target = 5,
                           .total_steps = 40,
                           .init_steps = 6,
                           .final_steps = 10,
                           .mask_interval = 4};

}  // namespace

TEST_CASE("the budget is the cubic of its equation, in whole numbers", "[adapters]") {
  const auto [first, target, total, init, last] =
      GENERATE(std::array<int64_t, 5>{144, 72, 3450, 600, 1800},
               std::array<int64_t, 5>{216, 72, 85900, 8000, 50000},
               std::array<int64_t, 5>{48, 24, 17, 3, 5}, std::array<int64_t, 5>{7, 1, 100, 0, 2});
  const BudgetSchedule schedule{first, target, total, init, last, 1};
  const int64_t whole = total - last - init;
  int64_t compared = 0;
  for (int64_t t = 0; t < total; ++t) {
    INFO(t);
    if (t <= init) {
      REQUIRE(schedule.budget(t) == first);
      REQUIRE(!schedule.masks(t));
    } else if (t >= total - last) {
      REQUIRE(schedule.budget(t) == target);
      REQUIRE(schedule.masks(t));
    } else {
      const int64_t left = whole - (t - init);
      const int64_t above = (first - target) * left * left * left;
      const int64_t cube = whole * whole * whole;
      if (above % cube == 0) continue;  // where rounding may fall to either side of a whole number
      REQUIRE(schedule.budget(t) == target + above / cube);
      ++compared;
    }
    REQUIRE(schedule.counts(t) == (t < total - last));
  }
  CHECK(compared > whole / 2);
}

TEST_CASE("terms are masked at the interval's multiples, in the last phase always", "[adapters]") {
  std::vector<int64_t> masked;
  for (int64_t t = 0; t < forty.total_steps; ++t)
    if (forty.masks(t)) masked.push_back(t);
  CHECK(masked == std::vector<int64_t>{8, 12, 16, 20, 24, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39});
}

TEST_CASE("as many terms are kept as the budget allows", "[adapters]") {
  Walk walk(forty);
  CHECK(walk.budget.first() == 12);
  CHECK(walk.budget.changes() == 3);
  std::vector<int64_t> after_masks;
  for (int64_t t = 0; t < forty.total_steps; ++t) {
    walk.step(t);
    INFO(t);
    REQUIRE(walk.kept() == (forty.masks(t) ? forty.budget(t) : 12));
    if (forty.masks(t)) after_masks.push_back(walk.kept());
  }
  CHECK(walk.kept() == 5);
  CHECK(after_masks.front() > 5);
}

TEST_CASE("the last phase keeps the terms that it began with", "[adapters]") {
  Walk walk(forty);
  const auto pattern = [&] {
    return torch::cat({walk.tensors[2], walk.tensors[5], walk.tensors[8]}) != 0;
  };
  for (int64_t t = 0; t <= 31; ++t) walk.step(t);
  const Tensor then = pattern();
  for (int64_t t = 32; t < 40; ++t) {
    walk.step(t);
    CHECK(torch::equal(pattern(), then));
  }
}

TEST_CASE("a budget that never falls masks nothing", "[adapters]") {
  BudgetSchedule same = forty;
  same.target = same.first;
  Walk walk(same);
  for (int64_t t = 0; t < same.total_steps; ++t) walk.step(t);
  CHECK(walk.kept() == 12);
}

TEST_CASE("a saved budget goes on as if nothing had happened", "[adapters]") {
  Walk whole(forty), second(forty);
  for (int64_t t = 0; t < 17; ++t) whole.step(t);
  for (size_t i = 0; i < whole.tensors.size(); ++i) second.tensors[i].copy_(whole.tensors[i]);
  const auto from = whole.budget.state(), into = second.budget.state();
  REQUIRE(from.size() == 18);
  for (size_t i = 0; i < from.size(); ++i) {
    CHECK(from[i].first == into[i].first);
    CHECK(from[i].second.abs().max().item<double>() > 0);
    Tensor(into[i].second).copy_(from[i].second);
  }
  for (int64_t t = 17; t < forty.total_steps; ++t) whole.step(t), second.step(t);
  for (size_t i = 0; i < whole.tensors.size(); ++i)
    CHECK(torch::equal(whole.tensors[i], second.tensors[i]));
}

TEST_CASE("the distance from orthogonality is the mean of the norms", "[adapters]") {
  std::vector<FactorPair> pairs;
  double want = 0;
  for (uint64_t i = 0; i < 3; ++i) {
    pairs.push_back({draw({2, 5}, i), draw({6, 2}, 10 + i)});
    for (const Tensor& rows : {pairs[i].down, pairs[i].up.t()}) {
      double squares = 0;
      for (int64_t r = 0; r < 2; ++r)
        for (int64_t c = 0; c < 2; ++c) {
          const double product = (rows[r] * rows[c]).sum().item<double>();
          squares += std::pow(product - (r == c ? 1 : 0), 2);
        }
      want += std::sqrt(squares) / 6;
    }
  }
  CHECK(orthogonality(pairs).item<double>() == Approx(want).epsilon(1e-14));
}

TEST_CASE("a matrix that is orthogonal, or zero, gets no gradient from its distance",
          "[adapters]") {
  const auto type = GENERATE(torch::kFloat, torch::kDouble);
  Tensor down = torch::eye(3, 5, torch::TensorOptions(type)).requires_grad_(true);
  Tensor up = torch::zeros({4, 3}, type).requires_grad_(true);
  const Tensor distance = orthogonality({{down, up}});
  CHECK(distance.item<double>() == Approx(std::sqrt(3.0) / 2));  // 0 and the norm of -I
  const auto slopes = torch::autograd::grad({distance}, {down, up});
  CHECK(slopes[0].count_nonzero().item<int64_t>() == 0);
  CHECK(slopes[1].count_nonzero().item<int64_t>() == 0);
}
