#include "lib/backend/channels.h"

#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Tensor scaled(const std::vector<Tensor>& in) {
  return backend::scale_channels(in[0], in[1], in[2]);
}

/// in[2] on the first outputs, in[3] on the last.
Tensor with_diagonals(const std::vector<Tensor>& in) {
  const int64_t last = in[0].size(1) - in[3].size(0);
  return backend::add_diagonals(in[0], in[1], {{0, in[2]}, {last, in[3]}});
}

}  // namespace

TEST_CASE("scaled channels have the plain path's values and gradients", "[backend]") {
  for (const auto& [tokens, width] : {std::pair{1, 1}, {5, 16}, {33, 100}, {64, 384}}) {
    CAPTURE(tokens, width);
    const Tensor x = normal({tokens, width}, 1).requires_grad_();
    const Tensor scale = normal({width}, 2).requires_grad_();
    for (const Tensor& shift : {normal({width}, 3).requires_grad_(), Tensor()})
      compare_both({x, scale, shift}, scaled, {1, 2});
    compare_both({x, scale.detach(), Tensor()}, scaled, {1, 2});
    compare_both({x.detach(), scale, normal({width}, 3)}, scaled, {1, 2});
  }
}

TEST_CASE("added diagonals have the plain path's values and gradients", "[backend]") {
  for (const auto& [tokens, in, out] : {std::tuple{1, 16, 16}, {7, 33, 90}, {40, 128, 65}}) {
    CAPTURE(tokens, in, out);
    const int64_t first = std::min(in, out), second = std::min(in, out / 2);
    compare_both(
        {normal({tokens, out}, 1).requires_grad_(), normal({tokens, in}, 2).requires_grad_(),
         normal({first}, 3).requires_grad_(), normal({second}, 4).requires_grad_()},
        with_diagonals, {2, 3});
    compare_both({normal({tokens, out}, 1), normal({tokens, in}, 2),
                  normal({first}, 3).requires_grad_(), normal({second}, 4)},
                 with_diagonals, {2, 3});
  }
}

TEST_CASE("the exact product keeps fp32 with a weight stored in bf16", "[backend]") {
  if (!backend::has_avx512()) {
    SUCCEED("skipped: this CPU has no AVX-512");
    return;
  }
  for (const auto& [rows, in, out] : {std::tuple{1, 16, 16}, {8, 384, 1536}, {13, 33, 7}}) {
    CAPTURE(rows, in, out);
    const Tensor x = normal({rows, in}, 1);
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Tensor weight = normal({out, in}, 2).to(type);
      const Tensor want = weight.to(at::kDouble).mm(x.to(at::kDouble).t());
      // bf16: x has 16 of its 24 bits, 2⁻¹⁷ of each number, and fp32 sums
      const double tolerance = type == at::kFloat ? 1e-6 : 1e-5;
      for (const Path path : {Path::plain, Path::avx512}) {
        const PathGuard guard(path);
        const Tensor got = backend::exact_product(weight, x);
        CHECK(got.scalar_type() == at::kFloat);
        CHECK(relative_error(got, want) <= tolerance);
        CHECK(relative_error(backend::exact_product(weight.slice(0, 1), x), want.slice(0, 1)) <=
              tolerance);
      }
    }
  }
}
