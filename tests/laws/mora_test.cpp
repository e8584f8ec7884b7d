// What the equations of MoRA say: the closed forms of its changes, their rank, and that a restart
// changes the matrix in training but not the model.

#include "lib/adapters/mora_forms.h"
#include "tests/laws/toy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

struct Sizes {
  int64_t in, out, width;
};

double entry(const Tensor& m, int64_t row, int64_t column) {
  return m[row][column].item<double>();
}

Tensor matrix(int64_t width, uint64_t seed) {
  return Toy::values(at::empty({width, width}), seed).to(torch::kDouble);
}

/// ΔW [out, in] of a form: what it makes of the unit vectors.
Tensor change(const std::function<Tensor(const Tensor&)>& form, int64_t in) {
  return form(torch::eye(in, torch::kDouble)).t();
}

/// ΔW_ij = Σ M[i mod r̂, q mod r̂] over the places q of the padded input that hold x_j.
Tensor sharing_in_closed_form(const Tensor& m, const Sizes& s) {
  Tensor w = torch::zeros({s.out, s.in}, torch::kDouble);
  const int64_t padded = (s.in - 1) / s.width * s.width + s.width;
  for (int64_t i = 0; i < s.out; ++i)
    for (int64_t q = 0; q < padded; ++q) w[i][q % s.in] += entry(m, i % s.width, q % s.width);
  return w;
}

/// ΔW[k r̂ + a, (k r̂ + c) mod in] += (M R_k)[a, c]; rows beyond the blocks repeat.
Tensor rotation_in_closed_form(const Tensor& m, const Sizes& s) {
  const int64_t blocks = (s.in - 1) / s.width + 1, half = s.width / 2;
  Tensor w = torch::zeros({s.out, s.in}, torch::kDouble);
  for (int64_t i = 0; i < s.out; ++i) {
    const int64_t row = i % (blocks * s.width), k = row / s.width;
    Tensor r = torch::zeros({s.width, s.width}, torch::kDouble);
    for (int64_t c = 0; c < half; ++c) {
      const double angle =
          static_cast<double>(k) *
          std::pow(10000.0, -2.0 * static_cast<double>(c) / static_cast<double>(s.width));
      r[c][c] = r[c + half][c + half] = std::cos(angle);
      r[c][c + half] = -std::sin(angle);
      r[c + half][c] = std::sin(angle);
    }
    const Tensor mr = m.mm(r);
    for (int64_t c = 0; c < s.width; ++c)
      w[i][(k * s.width + c) % s.in] += entry(mr, row % s.width, c);
  }
  return w;
}

/// The group of an entry: the first `entries` mod r̂ groups are one larger.
int64_t group_of(int64_t at, int64_t entries, int64_t width) {
  const int64_t small = entries / width, split = entries % width * (small + 1);
  return at < split ? at / (small + 1) : entries % width + (at - split) / small;
}

/// ΔW_ij of types 1 to 4, whose rows and columns are shared or grouped.
Tensor both_ways_in_closed_form(const Tensor& m, const Sizes& s, bool grouped_rows,
                                bool grouped_columns) {
  Tensor shared_rows = torch::zeros({s.out, s.in}, torch::kDouble);
  const int64_t padded = (s.in - 1) / s.width * s.width + s.width;
  for (int64_t i = 0; i < s.out; ++i) {
    const int64_t row = grouped_rows ? group_of(i, s.out, s.width) : i % s.width;
    for (int64_t q = 0; q < (grouped_columns ? s.in : padded); ++q)
      shared_rows[i][q % s.in] +=
          entry(m, row, grouped_columns ? group_of(q, s.in, s.width) : q % s.width);
  }
  return shared_rows;
}

// The last three: a block that is longer than x, one that takes x three times, one longer than y.
const std::vector<Sizes> all_sizes{{10, 13, 4}, {12, 12, 4}, {13, 10, 4}, {9, 30, 6},
                                   {3, 9, 4},   {2, 30, 6},  {9, 3, 4}};
constexpr double rounding = 1.4e-14;

}  // namespace

TEST_CASE("MoRA's forms are their closed forms", "[laws]") {
  const auto s = GENERATE(from_range(all_sizes));
  CAPTURE(s.in, s.out, s.width);
  const torch::NoGradGuard no_grad;
  const Tensor m = matrix(s.width, 3);
  const Tensor sharing = change([&](const Tensor& x) { return mora_sharing(x, m, s.out); }, s.in);
  CHECK(distance(sharing, sharing_in_closed_form(m, s)) < rounding);
  const Tensor rotation = change([&](const Tensor& x) { return mora_rotation(x, m, s.out); }, s.in);
  CHECK(distance(rotation, rotation_in_closed_form(m, s)) < rounding);
}

TEST_CASE("each quarter of MoRA's frozen sum is one of the types 1 to 4", "[laws]") {
  const auto s = GENERATE(from_range(all_sizes));
  const bool grouped_rows = GENERATE(false, true), grouped_columns = GENERATE(false, true);
  CAPTURE(s.in, s.out, s.width, grouped_rows, grouped_columns);
  const torch::NoGradGuard no_grad;
  const Tensor m = matrix(s.width, 3);
  const Tensor sum = torch::zeros({2 * s.width, 2 * s.width}, torch::kDouble);
  sum.narrow(0, grouped_rows ? s.width : 0, s.width)
      .narrow(1, grouped_columns ? s.width : 0, s.width)
      .copy_(m);
  const Tensor got = change([&](const Tensor& x) { return mora_both_ways(x, sum, s.out); }, s.in);
  CHECK(distance(got, both_ways_in_closed_form(m, s, grouped_rows, grouped_columns)) < rounding);
}

TEST_CASE("the rotation's change has full rank where LoRA has rank 8", "[laws]") {
  const torch::NoGradGuard no_grad;
  const Tensor m = matrix(40, 5);
  const Tensor w = change([&](const Tensor& x) { return mora_rotation(x, m, 3072); }, 768);
  // The rows after the 20 blocks repeat the first.
  CHECK(torch::equal(w.narrow(0, 800, 800), w.narrow(0, 0, 800)));
  CHECK(at::linalg_matrix_rank(w.narrow(0, 0, 800)).item<int64_t>() == 768);
  const Tensor shared = change([&](const Tensor& x) { return mora_sharing(x, m, 3072); }, 768);
  CHECK(at::linalg_matrix_rank(shared.narrow(0, 0, 800)).item<int64_t>() == 40);
}

TEST_CASE("MoRA's matrix is as wide as the authors' code makes it", "[laws]") {
  CHECK(mora_width(4096, 4096, 8, true) == 256);  // LLaMA's q_proj
  CHECK(mora_width(4096, 11008, 8, false) == 348);
  CHECK(mora_width(768, 768, 8, false) == 111);
  CHECK(mora_width(768, 768, 8, true) == 110);
}

TEST_CASE("a restart of MoRA moves what was learned, not the model", "[laws]") {
  const auto cycle = GENERATE(as<std::string>(), "1-2", "1-2-3-4");
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  Adapted adapted({&adapter_method("mora"),
                   {{"restart_steps", 3}, {"restart_warmup", 3}, {"cycle", cycle}, {"rank", 1}}});
  AdapterSet& set = *adapted.trained.set;
  set.begin({.total_steps = 30, .step = 0, .seed = 1});
  std::vector<Tensor> none;
  const StepGradients gradients(none, none);
  const Tensor x = toy_input();
  for (int64_t step = 0; step < 15; ++step) {
    CAPTURE(step);
    if (step % 3 == 0) adapted.shake();
    const Tensor before = adapted.toy->forward(x);
    const std::vector<Tensor> anew = set.after_update(step, gradients);
    CHECK(distance(before, adapted.toy->forward(x)) < 1e-12);
    CHECK(anew.size() == (step % 3 == 2 ? 4 : 0));
    for (const Tensor& t : anew) CHECK(!t.any().item<bool>());
  }
  const Tensor learned = adapted.toy->forward(x);
  CHECK(distance(learned, toy_of({&adapter_method("mora"), {}})->forward(x)) > 1e-3);
  // As when another run starts from it: its matrix joins, and the cycle begins again.
  adapted.shake();
  const Tensor before = adapted.toy->forward(x);
  set.begin({.total_steps = 30, .step = 0, .seed = 1});
  CHECK(distance(before, adapted.toy->forward(x)) < 1e-12);
}

TEST_CASE("after a restart of MoRA the learning rate warms up", "[laws]") {
  const auto set = adapter_method("mora").start(
      {{"restart_steps", 200}, {"restart_warmup", 50}, {"cycle", "1-2"}});
  CHECK(set->lr_factor(0) == 1);
  CHECK(set->lr_factor(199) == 1);
  CHECK(set->lr_factor(200) == 0);
  CHECK(set->lr_factor(225) == 0.5);
  CHECK(set->lr_factor(250) == 1);
  CHECK(set->lr_factor(401) == 0.02);
  CHECK(adapter_method("mora").start(Json::object())->lr_factor(200) == 1);
  CHECK_THROWS_WITH(adapter_method("mora").start({{"restart_steps", 20}}),
                    Catch::Contains("/adapter/method/restart_warmup: 50 steps"));
  CHECK_THROWS_WITH(adapter_method("mora").start({{"restart_steps", 200}, {"type", "6"}}),
                    Catch::Matchers::Contains("/adapter/method/type"));
}

TEST_CASE("MoRA refuses restarts that never come, and what is for restarts without any", "[laws]") {
  using Catch::Matchers::Contains;
  const auto set = adapter_method("mora").start({{"restart_steps", 100}});
  CHECK_NOTHROW(set->check({.total_steps = 101, .step = 0, .seed = 1}));
  CHECK_THROWS_WITH(
      set->check({.total_steps = 100, .step = 0, .seed = 1}),
      Contains("/adapter/method/restart_steps: a restart every 100 steps, but the run"));
  CHECK_NOTHROW(adapter_method("mora").start(Json::object())->check({.total_steps = 1}));
  CHECK_THROWS_WITH(adapter_method("mora").start({{"cycle", "1-2-3-4"}}),
                    Contains("/adapter/method/cycle") && Contains("restart_steps"));
  CHECK_THROWS_WITH(adapter_method("mora").start({{"restart_warmup", 0}}),
                    Contains("/adapter/method/restart_warmup") && Contains("restart_steps"));
}
