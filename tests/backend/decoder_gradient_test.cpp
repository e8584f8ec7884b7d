// The plain path's gradients are the derivatives of its values: central differences in double.
#include "lib/backend/decoder_ops.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Tensor variable(at::IntArrayRef sizes, uint64_t seed) {
  return normal(sizes, seed).to(at::kDouble).requires_grad_();
}

void check_derivatives(const std::vector<Tensor>& inputs, const Operation& f) {
  const PathGuard path(Path::plain);
  const Tensor y = f(inputs);
  const Tensor direction = normal(y.sizes(), 99).to(at::kDouble);
  const auto gradients = torch::autograd::grad({y}, inputs, {direction});
  const at::NoGradGuard none;
  const double h = 1e-5;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor flat = inputs[i].view({-1}), slope = at::empty_like(flat);
    for (int64_t j = 0; j < flat.numel(); ++j) {
      const double before = flat[j].item<double>();
      const auto loss = [&](double value) {
        flat[j].fill_(value);
        return (f(inputs) * direction).sum().item<double>();
      };
      slope[j] = (loss(before + h) - loss(before - h)) / (2 * h);
      flat[j].fill_(before);
    }
    INFO("input " << i);
    CHECK(relative_error(gradients[i].reshape({-1}), slope) <= 1e-8);
  }
}

}  // namespace

TEST_CASE("the plain attention and rotation have right derivatives", "[backend]") {
  const backend::CausalShape shape{4, 2, 0.7};
  const Packing packing = packing_of({1, 4, 2});
  const backend::Dropout dropout{0.2, 3, identities(8)};
  const backend::Rotary rotary{normal({20, 1}, 5), normal({20, 1}, 6)};
  const Tensor positions = at::arange(8) * 2;
  check_derivatives({variable({8, 16}, 1)}, [&](const std::vector<Tensor>& in) {
    return backend::causal_attention(backend::rotate(in[0], positions, rotary, shape), packing,
                                     shape, dropout);
  });
}

TEST_CASE("the plain pre-norms have right derivatives", "[backend]") {
  const backend::Dropout dropout{0.2, 3, identities(3)};
  check_derivatives({variable({3, 5}, 1), variable({3, 5}, 2), variable({5}, 3)},
                    [&](const std::vector<Tensor>& in) {
                      const auto y = backend::add_rms_norm(in[0], in[1], in[2], 1e-5, dropout);
                      return at::cat({y.sum, y.normed, backend::rms_norm(in[0], in[2], 1e-5)}, 1);
                    });
  check_derivatives(
      {variable({3, 5}, 1), variable({3, 5}, 2), variable({5}, 3), variable({5}, 4)},
      [&](const std::vector<Tensor>& in) {
        const auto y = backend::add_layer_norm(in[0], in[1], {in[2], in[3], 1e-5}, dropout);
        return at::cat({y.sum, y.normed}, 1);
      });
}

TEST_CASE("the plain activations of decoders have right derivatives", "[backend]") {
  check_derivatives({variable({3, 8}, 1)}, [](const std::vector<Tensor>& in) {
    return at::cat({backend::swiglu(in[0]), backend::gelu_tanh(in[0])}, 1);
  });
}
