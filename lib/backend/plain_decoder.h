// Every operation of decoder_ops.h as ordinary ATen operations, as plain.h is for ops.h.
#pragma once

#include "lib/backend/decoder_ops.h"

namespace mtlora::backend::plain {

Tensor causal_attention(const Tensor& qkv, const Packing& packing, const CausalShape& shape,
                        const Dropout& dropout);
Tensor rotate(const Tensor& qkv, const Tensor& positions, const Rotary& rotary,
              const CausalShape& shape);
Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps);
Normed add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma, double eps,
                    const Dropout& dropout);
Normed add_layer_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                      const Dropout& dropout);
Tensor swiglu(const Tensor& gate_up);
Tensor gelu_tanh(const Tensor& x);
Tensor decode_attention(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape);

}  // namespace mtlora::backend::plain
