// Layer normalisation, with what stands before it in a post-norm block: dropout and the residual.
#pragma once

#include <torch/torch.h>

#include "lib/nn/pass.h"

namespace mtlora {

class LayerNormImpl : public torch::nn::Module {
 public:
  LayerNormImpl(int64_t width, double epsilon)
      : weight(register_parameter("weight", torch::ones({width}))),
        bias(register_parameter("bias", torch::zeros({width}))),
        epsilon_(epsilon) {}

  /// LayerNorm(x), x [tokens, width]
  Tensor forward(const Tensor& x) { return backend::layer_norm(x, {weight, bias, epsilon_}); }
  /// LayerNorm(residual + dropout(x))
  Tensor after_residual(const Tensor& x, const Tensor& residual, const backend::Dropout& dropout) {
    return backend::dropout_add_norm(x, residual, {weight, bias, epsilon_}, dropout);
  }

  Tensor weight, bias;  ///< [width], always fp32

 private:
  double epsilon_;
};
TORCH_MODULE(LayerNorm);

}  // namespace mtlora
