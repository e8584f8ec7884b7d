// Rotary embedding, pre-norms and activations of decoders on rows of tokens.
#include <ATen/ATen.h>

#include "lib/backend/plain_decoder.h"

namespace mtlora::backend {

Tensor rotate(const Tensor& qkv, const Tensor& positions, const Rotary& rotary,
              const CausalShape& shape) {
  return plain::rotate(qkv, positions, rotary, shape);
}

Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps) {
  return plain::rms_norm(x, gamma, eps);
}

Normed add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma, double eps,
                    const Dropout& dropout) {
  return plain::add_rms_norm(x, residual, gamma, eps, dropout);
}

Normed add_layer_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                      const Dropout& dropout) {
  return plain::add_layer_norm(x, residual, affine, dropout);
}

Tensor swiglu(const Tensor& gate_up) {
  return plain::swiglu(gate_up);
}

Tensor gelu_tanh(const Tensor& x) {
  return plain::gelu_tanh(x);
}

}  // namespace mtlora::backend
