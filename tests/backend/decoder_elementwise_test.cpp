#include "lib/backend/decoder_ops.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;
using backend::CausalShape;
using backend::Normed;

namespace {

backend::Rotary angles(int64_t positions, int64_t half) {
  const Tensor frequency = at::pow(10000.0, -at::arange(half, at::kDouble) / double(half));
  const Tensor angle = at::outer(at::arange(positions, at::kDouble), frequency);
  return {angle.cos().to(at::kFloat), angle.sin().to(at::kFloat)};
}

/// Both outputs side by side, [tokens, 2 · width].
Tensor joined(const Normed& normed) {
  return at::cat({normed.sum, normed.normed}, 1);
}

struct PreNorm {
  double p = 0;
  bool rms = true;
  Normed both(const std::vector<Tensor>& in) const {
    const backend::Dropout dropout{p, 11, identities(in[0].size(0))};
    if (rms) return backend::add_rms_norm(in[0], in[1], in[2], 1e-5, dropout);
    return backend::add_layer_norm(in[0], in[1], {in[2], in[3], 1e-5}, dropout);
  }
  Tensor operator()(const std::vector<Tensor>& in) const { return joined(both(in)); }
};

std::vector<Tensor> norm_inputs(int64_t rows, int64_t width, bool trained, bool rms = true) {
  std::vector<Tensor> inputs{normal({rows, width}, 1).requires_grad_(),
                             normal({rows, width}, 2).requires_grad_(),
                             (normal({width}, 3) * 0.1 + 1).requires_grad_(trained)};
  if (!rms) inputs.push_back(normal({width}, 4).requires_grad_(trained));
  return inputs;
}

}  // namespace

TEST_CASE("rotation has the plain path's values and gradients", "[backend]") {
  for (const CausalShape& shape :
       {CausalShape{9, 3, 1}, CausalShape{2, 2, 1}, CausalShape{1, 1, 1}})
    for (const int64_t head : {64, 32, 16, 20, 128}) {
      const int64_t columns = (shape.heads + 2 * shape.kv_heads) * head;
      const Tensor qkv = normal({17, columns}, 1).requires_grad_();
      const Tensor positions = at::arange(17).mul(37).remainder(100);
      compare_both({qkv}, [&](const std::vector<Tensor>& in) {
        return backend::rotate(in[0], positions, angles(100, head / 2), shape);
      });
    }
}

TEST_CASE("rotated scores depend on the distance alone; values are untouched", "[backend]") {
  const CausalShape shape{2, 1, 1};
  const Tensor qkv = normal({1, 4 * 32}, 5).expand({50, 4 * 32}).contiguous();
  for (const Path path : {Path::plain, backend::path()}) {
    const PathGuard guard(path);
    const Tensor y = backend::rotate(qkv, at::arange(50), angles(50, 16), shape);
    const Tensor q = y.narrow(1, 32, 32), k = y.narrow(1, 64, 32);  // query head 1
    const Tensor scores = at::matmul(q, k.t());
    CHECK(relative_error(scores.narrow(0, 10, 40).narrow(1, 10, 40),
                         scores.narrow(0, 0, 40).narrow(1, 0, 40).to(at::kDouble)) <= 1e-5);
    CHECK(at::equal(y.narrow(0, 0, 1), qkv.narrow(0, 0, 1)));  // position 0 is no rotation
    CHECK(at::equal(y.narrow(1, 96, 32), qkv.narrow(1, 96, 32)));
    // channels i and i + head / 2 are a pair: (1, 0) at position 1 becomes (cos 1, sin 1)
    Tensor unit = at::zeros({1, 4 * 32});
    unit.select(1, 0).fill_(1);
    const Tensor turned = backend::rotate(unit, at::ones({1}, at::kLong), angles(2, 16), shape);
    CHECK(turned[0][0].item<float>() == Approx(std::cos(1.0)));
    CHECK(turned[0][16].item<float>() == Approx(std::sin(1.0)));
  }
}

TEST_CASE("rms norm has the plain path's values and gradients", "[backend]") {
  for (const int64_t width : {16, 20, 100, 576, 1030})
    for (const bool trained : {false, true}) {
      const std::vector<Tensor> inputs{normal({23, width}, 1).requires_grad_(),
                                       (normal({width}, 3) * 0.1 + 1).requires_grad_(trained)};
      INFO("width " << width << ", trained " << trained);
      compare_both(
          inputs,
          [](const std::vector<Tensor>& in) { return backend::rms_norm(in[0], in[1], 1e-5); }, {1});
    }
}

TEST_CASE("residual, dropout and pre-norm have the plain path's values and gradients",
          "[backend]") {
  for (const int64_t width : {16, 20, 100, 576, 1030})
    for (const double p : {0.0, 0.1})
      for (const bool trained : {false, true})
        for (const bool rms : {false, true}) {
          INFO("width " << width << ", p " << p << ", trained " << trained << ", rms " << rms);
          compare_both(norm_inputs(23, width, trained, rms), PreNorm{p, rms}, {2, 3});
        }
}

TEST_CASE("a pre-norm's outputs are used alone, too", "[backend]") {
  for (const bool rms : {false, true})
    for (const bool sum : {false, true})
      compare_both(norm_inputs(9, 48, true, rms),
                   [&](const std::vector<Tensor>& in) {
                     const Normed both = PreNorm{0.1, rms}.both(in);
                     // what is not wanted still hangs on every input by a factor of zero
                     return sum ? both.sum + 0 * both.normed : both.normed + 0 * both.sum;
                   },
                   {2, 3});
  for (const bool sum : {false, true})
    compare_both(norm_inputs(9, 48, false),
                 [&](const std::vector<Tensor>& in) {
                   const Normed both = PreNorm{0.1, true}.both(in);
                   return sum ? both.sum : both.normed;
                 },
                 {2});
}

TEST_CASE("a pre-norm is the norm of its own sum, bit for bit", "[backend]") {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    std::vector<Tensor> in = norm_inputs(9, 100, false, false);
    in[0] = in[0].detach().to(type);
    in[1] = in[1].detach().to(type);
    const Normed rms = PreNorm{0.1, true}.both(in), layer = PreNorm{0.1, false}.both(in);
    CHECK(at::equal(rms.sum, layer.sum));
    CHECK(rms.sum.scalar_type() == type);
    CHECK(at::equal(rms.normed, backend::rms_norm(rms.sum, in[2], 1e-5)));
    CHECK(at::equal(layer.normed, backend::layer_norm(layer.sum, {in[2], in[3], 1e-5})));
  }
}

TEST_CASE("a pre-norm computes only the gradients that are wanted", "[backend]") {
  std::vector<Tensor> in = norm_inputs(5, 64, false);
  in[1] = in[1].detach();
  joined(PreNorm{0.1, true}.both(in)).sum().backward();
  CHECK(in[0].grad().defined());
  CHECK_FALSE(in[1].grad().defined());
  CHECK_FALSE(in[2].grad().defined());
  const at::NoGradGuard none;
  CHECK_FALSE(PreNorm{}.both(in).sum.requires_grad());
}

TEST_CASE("a layer pre-norm far from zero keeps its precision", "[backend]") {
  std::vector<Tensor> inputs = norm_inputs(9, 384, false, false);
  inputs[0] = (inputs[0].detach() + 100).requires_grad_();
  compare(inputs,
          [](const std::vector<Tensor>& in) {
            return PreNorm{0, false}.both(in).normed;
          },
          at::kFloat, {2, 3});
}

TEST_CASE("swiglu has the plain path's values and gradients", "[backend]") {
  for (const int64_t inner : {1, 16, 100, 1536}) {
    const Tensor x = (normal({7, 2 * inner}, 1) * 3).requires_grad_();
    compare_both({x}, [](const std::vector<Tensor>& in) { return backend::swiglu(in[0]); });
  }
  const Tensor wide = normal({7, 300}, 1).requires_grad_();
  compare_both({wide}, [](const std::vector<Tensor>& in) {
    return backend::swiglu(in[0].narrow(1, 5, 200));
  });
}

TEST_CASE("gelu_tanh has the plain path's values and gradients", "[backend]") {
  for (const int64_t width : {1, 16, 100, 1536}) {
    const Tensor x = (normal({7, width}, 1) * 3).requires_grad_();
    compare_both({x}, [](const std::vector<Tensor>& in) { return backend::gelu_tanh(in[0]); });
  }
}

TEST_CASE("the activations of decoders are right everywhere", "[backend]") {
  const Tensor x = at::linspace(-90, 90, 60001).reshape({1, -1});
  const Tensor wide = x.to(at::kDouble), one = at::ones_like(x);
  CHECK(
      (backend::gelu_tanh(x).to(at::kDouble) - at::gelu(wide, "tanh")).abs().max().item<double>() <=
      2e-6);
  CHECK((backend::swiglu(at::cat({x, one}, 1)).to(at::kDouble) - at::silu(wide))
            .abs()
            .max()
            .item<double>() <= 1e-5);
  for (const bool gelu : {false, true}) {
    const auto f = [&](const Tensor& v) {
      return gelu ? backend::gelu_tanh(v) : backend::swiglu(at::cat({v, at::ones_like(v)}, 1));
    };
    const Tensor huge = at::tensor({-1e30F, -1e4F, 1e4F, 1e30F}).reshape({1, 4}).requires_grad_();
    const Tensor y = f(huge);
    CHECK(at::equal(y, at::tensor({0.0F, 0.0F, 1e4F, 1e30F}).reshape({1, 4})));
    y.sum().backward();
    if (backend::path() == Path::avx512)  // ATen's own derivative of gelu is NaN there
      CHECK(at::equal(huge.grad(), at::tensor({0.0F, 0.0F, 1.0F, 1.0F}).reshape({1, 4})));
    CHECK(at::isnan(f(at::full({1, 20}, std::nan("")))).all().item<bool>());
  }
}

TEST_CASE("rows of any stride are pre-normed and rotated", "[backend]") {
  std::vector<Tensor> inputs = norm_inputs(9, 300, false);
  inputs[2] = at::ones({192});
  const CausalShape shape{2, 2, 1};
  compare_both(inputs,
               [&](const std::vector<Tensor>& in) {
                 const Normed both = backend::add_rms_norm(
                     in[0].narrow(1, 3, 192), in[1].narrow(1, 60, 192), in[2], 1e-5, {});
                 return both.sum + backend::rms_norm(in[0].narrow(1, 7, 192), in[2], 1e-5) +
                        backend::rotate(in[1].narrow(1, 1, 192), at::arange(9), angles(9, 16),
                                        shape);
               },
               {2});
}
