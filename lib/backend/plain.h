// Every operation of ops.h as ordinary ATen operations with their own autograd: any CPU, float32,
// bfloat16 and double. The reference that the kernels are tested against.
#pragma once

#include "lib/backend/ops.h"

namespace mtlora::backend::plain {

Tensor self_attention(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
                      const Dropout& dropout);
Tensor pooled_attention(const Tensor& q, const Tensor& kv, const Packing& packing,
                        const AttentionShape& shape, const Dropout& dropout);
Tensor dropout(const Tensor& x, const Dropout& dropout);
Tensor layer_norm(const Tensor& x, const Affine& affine);
Tensor dropout_add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                        const Dropout& dropout);
Tensor gelu(const Tensor& x);
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
Tensor linear_low_rank(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const LowRank& low_rank);

// What these and plain_decoder.cpp share.

/// bf16 is computed in fp32, like in the kernels; fp32 and double stay.
Tensor widened(const Tensor& x);
bool drops(const Dropout& dropout);
/// The dropout of rows begin .. begin + count alone.
Dropout narrowed(const Dropout& dropout, int64_t begin, int64_t count);
/// The factors of all heads' probabilities, [heads, queries, keys]; the rows are the queries'.
Tensor attention_mask(const Dropout& dropout, int64_t heads, int64_t keys);

}  // namespace mtlora::backend::plain
