#include <set>

#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

struct Sizes {
  int64_t tokens, in, out;
};

const std::vector<Sizes> shapes{{1, 16, 16},   {5, 32, 48},    {12, 33, 7},     {13, 384, 384},
                                {31, 100, 33}, {96, 384, 80},  {25, 768, 65},   {3, 1, 1},
                                {64, 17, 130}, {212, 384, 64}, {11, 1536, 384}, {7, 31, 16}};

std::vector<Tensor> inputs_of(const Sizes& s, bool trained) {
  return {normal({s.tokens, s.in}, 1).requires_grad_(),
          (normal({s.out, s.in}, 2) * 0.05).requires_grad_(trained),
          normal({s.out}, 3).requires_grad_(trained)};
}

Tensor linear(const std::vector<Tensor>& in) {
  return backend::linear(in[0], in[1], in[2]);
}

/// LowRank of in[3] (a) and in[4], in[5] (b's) on the first 16 and the last out - 20 outputs.
struct Adapted {
  double p = 0;
  bool packed = false;
  double scale = 1.5;
  Tensor operator()(const std::vector<Tensor>& in) const {
    const int64_t out = in[1].size(0);
    const backend::LowRank low_rank{{in[3]},
                                    {{0, 16, 0, 3, in[4]}, {20, out, 3, 8, in[5]}},
                                    {p, 21, p > 0 ? identities(in[0].size(0)) : Tensor()},
                                    scale};
    const backend::Weight weight =
        packed ? backend::Weight(backend::PackedWeight(in[1].detach())) : backend::Weight(in[1]);
    return backend::linear_low_rank(in[0], weight, in[2], low_rank);
  }
};

std::vector<Tensor> adapted_inputs(const Sizes& s, bool trained) {
  std::vector<Tensor> inputs = inputs_of(s, trained);
  inputs.push_back((normal({8, s.in}, 4) * 0.2).requires_grad_());
  inputs.push_back(normal({16, 3}, 5).requires_grad_());
  inputs.push_back(normal({s.out - 20, 5}, 6).requires_grad_());
  return inputs;
}

const std::vector<Sizes> adapted_shapes{{1, 16, 48}, {40, 384, 100}, {77, 33, 150}, {12, 64, 21}};

}  // namespace

TEST_CASE("a frozen linear has the plain path's values and gradients", "[backend]") {
  for (const Sizes& s : shapes) {
    INFO(s.tokens << " tokens, " << s.in << " in, " << s.out << " out");
    compare_both(inputs_of(s, false), linear, {2});
  }
}

TEST_CASE("a trained fp32 linear has the plain path's values and gradients", "[backend]") {
  for (const Sizes& s : shapes) {
    INFO(s.tokens << " tokens, " << s.in << " in, " << s.out << " out");
    compare_both(inputs_of(s, true), linear, {1, 2});
  }
}

TEST_CASE("a packed weight gives the unpacked one's bits", "[backend]") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const std::vector<Tensor> in = inputs_of({29, 384, 100}, false);
    const Tensor weight = in[1].to(type);
    const backend::PackedWeight packed(weight);
    const std::vector<Tensor> x{in[0].detach().to(type).requires_grad_()};
    const auto got = output_and_gradients(
        x, [&](const auto& i) { return backend::linear(i[0], packed, in[2]); });
    const auto want = output_and_gradients(
        x, [&](const auto& i) { return backend::linear(i[0], weight, in[2]); });
    CHECK(at::equal(got[0], want[0]));
    CHECK(at::equal(got[1], want[1]));
  }
}

TEST_CASE("a linear takes slices of rows, no bias and strided inputs", "[backend]") {
  const std::vector<Tensor> in = inputs_of({9, 64, 150}, false);
  compare_both(in, [](const std::vector<Tensor>& i) {
    return backend::linear(i[0].narrow(1, 8, 40), i[1].narrow(0, 50, 70).narrow(1, 3, 40), {});
  });
  compare_both({normal({64, 9}, 1).requires_grad_(), in[1]},
               [](const std::vector<Tensor>& i) { return backend::linear(i[0].t(), i[1], {}); });
}

TEST_CASE("rows of a product do not depend on each other", "[backend]") {
  if (is_emulated()) {
    SUCCEED("skipped: on a device products are a library's, which promises no such thing");
    return;
  }
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const std::vector<Tensor> in = inputs_of({50, 384, 96}, false);
    const Tensor x = in[0].detach().to(type), weight = in[1].to(type);
    const Tensor all = backend::linear(x, weight, in[2]);
    for (const int64_t row : {0, 11, 13, 49})
      CHECK(at::equal(backend::linear(x.narrow(0, row, 1), weight, in[2]), all.narrow(0, row, 1)));
  }
}

TEST_CASE("an adapted linear has the plain path's values and gradients", "[backend]") {
  for (const Sizes& s : adapted_shapes)
    for (const double p : {0.0, 0.1})
      for (const bool packed : {false, true}) {
        INFO(s.tokens << " tokens, " << s.in << " in, " << s.out << " out, p " << p);
        compare_both(adapted_inputs(s, false), Adapted{p, packed}, {2, 3, 4, 5});
      }
}

TEST_CASE("adapter and base train together", "[backend]") {
  for (const Sizes& s : adapted_shapes)
    compare_both(adapted_inputs(s, true), Adapted{0.1}, {1, 2, 3, 4, 5});
}

TEST_CASE("parts may share their ranks", "[backend]") {
  for (const int64_t rank : {4, 72}) {
    INFO(rank << " ranks");
    std::vector<Tensor> in = inputs_of({14, 64, 96}, false);
    in.push_back((normal({rank, 64}, 4) * 0.2).requires_grad_());
    in.push_back(normal({32, rank}, 5).requires_grad_());
    in.push_back(normal({32, rank}, 6).requires_grad_());
    compare_both(in,
                 [&](const std::vector<Tensor>& i) {
                   return backend::linear_low_rank(
                       i[0], i[1], i[2],
                       {{i[3]}, {{0, 32, 0, rank, i[4]}, {64, 96, 0, rank, i[5]}}, {}});
                 },
                 {2, 3, 4, 5});
  }
}

TEST_CASE("parts of one size, equally far apart", "[backend]") {
  for (const int64_t rank : {4, 24})  // 12 ranks, and 72
    for (const bool trains_all : {true, false}) {
      CAPTURE(rank, trains_all);
      std::vector<Tensor> in = inputs_of({14, 64, 96}, false);
      in.push_back((normal({3 * rank, 64}, 4) * 0.2).requires_grad_());
      for (uint64_t i = 0; i < 3; ++i)
        in.push_back(normal({16, rank}, 5 + i).requires_grad_(trains_all || i != 1));
      compare_both(in,
                   [&](const std::vector<Tensor>& i) {
                     std::vector<backend::LowRank::Part> parts;
                     for (int64_t p = 0; p < 3; ++p)
                       parts.push_back({8 + 24 * p, 24 + 24 * p, p * rank, (p + 1) * rank,
                                        i[static_cast<size_t>(4 + p)]});
                     return backend::linear_low_rank(i[0], i[1], i[2], {{i[3]}, parts, {}, 1.5});
                   },
                   {2, 3, 4, 5, 6});
    }
}

TEST_CASE("every part may bring its own rows of a", "[backend]") {
  for (const int64_t rank : {3, 40}) {  // 6 ranks, and 80
    INFO(rank << " ranks each");
    std::vector<Tensor> in = inputs_of({14, 64, 96}, false);
    in.push_back((normal({64, rank}, 4) * 0.2).requires_grad_());  // transposed where it is used
    in.push_back((normal({rank, 64}, 5) * 0.2).requires_grad_());
    in.push_back(normal({32, rank}, 6).requires_grad_());
    in.push_back(normal({rank, 40}, 7).requires_grad_());  // this one too
    compare_both(in,
                 [&](const std::vector<Tensor>& i) {
                   return backend::linear_low_rank(
                       i[0], i[1], i[2],
                       {{i[3].t(), i[4]},
                        {{10, 42, 0, rank, i[5]}, {56, 96, rank, 2 * rank, i[6].t()}},
                        {0.1, 21, identities(14)},
                        1.5});
                 },
                 {2, 3, 4, 5, 6});
  }
}

TEST_CASE("a frozen linear neither computes nor keeps what nobody wants", "[backend]") {
  std::vector<Tensor> in = adapted_inputs({10, 64, 48}, false);
  in[0] = in[0].detach();  // the first layer: only the adapter has gradients
  Adapted{}(in).sum().backward();
  CHECK_FALSE(in[0].grad().defined());
  CHECK_FALSE(in[1].grad().defined());
  CHECK(in[3].grad().defined());
  CHECK_FALSE(backend::linear(in[0], in[1], in[2]).requires_grad());
  const auto alive = in[0].use_count();
  const Tensor x = in[0].clone().requires_grad_();
  const Tensor y = backend::linear(x, in[1], in[2]);
  CHECK(x.storage().use_count() == 1);  // x is not kept for backward
  CHECK(in[0].use_count() == alive);
}

TEST_CASE("the plain path's adapted linear passes gradcheck in double", "[backend]") {
  const PathGuard path(Path::plain);
  std::vector<Tensor> in = adapted_inputs({3, 5, 24}, true);
  for (Tensor& x : in) x = x.detach().to(at::kDouble).requires_grad_();
  const Adapted f{0.3};
  const auto gradients = output_and_gradients(in, f);
  const Tensor direction = normal({3, 24}, 99).to(at::kBFloat16).to(at::kDouble);
  at::NoGradGuard none;
  for (size_t i = 0; i < in.size(); ++i) {
    Tensor flat = in[i].detach().reshape(-1);
    const int64_t at = flat.numel() / 2;
    const double value = flat[at].item<double>(), step = 1e-6;
    const auto loss = [&](double x) {
      flat[at].fill_(x);
      return (f(in) * direction).sum().item<double>();
    };
    const double slope = (loss(value + step) - loss(value - step)) / (2 * step);
    flat[at].fill_(value);
    CHECK(gradients[i + 1].reshape(-1)[at].item<double>() == Approx(slope).epsilon(1e-6));
  }
}
