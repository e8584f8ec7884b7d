#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

struct Norm {
  double p = 0;
  bool residual = true;
  Tensor operator()(const std::vector<Tensor>& in) const {
    const backend::Affine affine{in[2], in[3], 1e-12};
    if (!residual) return backend::layer_norm(in[0], affine);
    const backend::Dropout dropout{p, 11, identities(in[0].size(0))};
    const auto [into, around] = backend::dropout_add_norm(in[0], in[1], affine, dropout);
    return at::cat({into, around});
  }
};

std::vector<Tensor> norm_inputs(int64_t rows, int64_t width, bool trained) {
  return {normal({rows, width}, 1).requires_grad_(), normal({rows, width}, 2).requires_grad_(),
          (normal({width}, 3) * 0.1 + 1).requires_grad_(trained),
          normal({width}, 4).requires_grad_(trained)};
}

}  // namespace

TEST_CASE("residual, dropout and norm have the plain path's values and gradients", "[backend]") {
  for (const int64_t width : {16, 20, 100, 384, 768, 1024, 1030})
    for (const double p : {0.0, 0.1})
      for (const bool trained : {false, true}) {
        INFO("width " << width << ", p " << p << ", trained " << trained);
        compare_both(norm_inputs(23, width, trained), Norm{p}, {2, 3});
      }
}

TEST_CASE("layer norm has the plain path's values and gradients", "[backend]") {
  for (const int64_t width : {16, 33, 384}) {
    std::vector<Tensor> inputs = norm_inputs(23, width, true);
    inputs[1] = Tensor();
    compare_both(inputs, Norm{0, false}, {2, 3});
  }
}

TEST_CASE("a norm far from zero keeps its precision", "[backend]") {
  std::vector<Tensor> inputs = norm_inputs(9, 384, false);
  inputs[0] = (inputs[0].detach() + 100).requires_grad_();
  compare(inputs, Norm{0}, at::kFloat, {2, 3});
}

TEST_CASE("the norm computes only the gradients that are wanted", "[backend]") {
  std::vector<Tensor> in = norm_inputs(5, 64, false);
  in[1] = in[1].detach();
  backend::dropout_add_norm(in[0], in[1], {in[2], in[3], 1e-12}, {0.1, 1, identities(5)})
      .around.sum()
      .backward();
  CHECK(in[0].grad().defined());
  CHECK_FALSE(in[1].grad().defined());
  CHECK_FALSE(in[2].grad().defined());
}

TEST_CASE("gelu has the plain path's values and gradients", "[backend]") {
  for (const int64_t width : {1, 16, 100, 1536}) {
    const Tensor x = (normal({7, width}, 1) * 3).requires_grad_();
    compare_both({x}, [](const std::vector<Tensor>& in) { return backend::gelu(in[0]); });
  }
}

TEST_CASE("gelu is right everywhere", "[backend]") {
  const Tensor x = at::linspace(-30, 30, 60001).reshape({1, -1});
  const Tensor want = at::gelu(x.to(at::kDouble));
  CHECK((backend::gelu(x).to(at::kDouble) - want).abs().max().item<double>() <= 2e-6);
  const Tensor huge = at::tensor({-1e30F, -1e4F, 1e4F, 1e30F}).reshape({1, 4});
  const Tensor y = backend::gelu(huge);
  CHECK(at::equal(y, at::tensor({0.0F, 0.0F, 1e4F, 1e30F}).reshape({1, 4})));
  CHECK(at::isnan(backend::gelu(at::full({1, 20}, std::nan("")))).all().item<bool>());
}

TEST_CASE("rows of any stride are normed", "[backend]") {
  std::vector<Tensor> inputs = norm_inputs(9, 304, false);
  inputs[2] = at::ones({192});
  inputs[3] = at::zeros({192});
  for (const int64_t first : {3, 8})  // the second at 16 bytes
    compare_both(inputs,
                 [&](const std::vector<Tensor>& in) {
                   return backend::dropout_add_norm(in[0].narrow(1, first, 192),
                                                    in[1].narrow(1, 64, 192), {in[2], in[3], 1e-12},
                                                    {})
                       .into;
                 },
                 {2, 3});
}
