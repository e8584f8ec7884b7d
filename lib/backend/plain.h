// Every operation of ops.h and disentangled_ops.h as ordinary ATen operations with their own
// autograd: any CPU, float32, bfloat16 and double. The reference that the kernels are tested
// against.
#pragma once

#include "lib/backend/disentangled_ops.h"

namespace mtlora::backend::plain {

Tensor self_attention(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
                      const Dropout& dropout);
Tensor pooled_attention(const Tensor& q, const Tensor& kv, const Packing& packing,
                        const AttentionShape& shape, const Dropout& dropout);
Tensor disentangled_attention(const Tensor& qkv, const RelativePositions& positions,
                              const Packing& packing, const AttentionShape& shape,
                              const Dropout& dropout);
Tensor disentangled_pooled_attention(const Tensor& q, const Tensor& kv,
                                     const RelativePositions& positions, const Packing& packing,
                                     const AttentionShape& shape, const Dropout& dropout);
Tensor dropout(const Tensor& x, const Dropout& dropout);
Tensor layer_norm(const Tensor& x, const Affine& affine);
Branches dropout_add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                          const Dropout& dropout);
Tensor gelu(const Tensor& x);
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
Tensor linear_low_rank(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const LowRank& low_rank);

// What these, plain_disentangled.cpp and plain_decoder.cpp share.

/// The offsets on the CPU. Throws c10::Error where only a CUDA device knows them.
const std::vector<int32_t>& host_offsets(const Packing& packing);
/// bf16 is computed in fp32, like in the kernels; fp32 and double stay.
Tensor widened(const Tensor& x);
/// The dropout of rows begin .. begin + count alone.
Dropout narrowed(const Dropout& dropout, int64_t begin, int64_t count);
/// The factors of all heads' probabilities, [heads, queries, keys]; the rows are the queries'.
Tensor attention_mask(const Dropout& dropout, int64_t heads, int64_t keys);
/// [rows, width] as [heads, rows, head], widened.
Tensor by_head(const Tensor& x, int64_t heads);
/// dropout(softmax(scores)) v: scores [heads, queries, keys], v [keys, width]; [queries, width] in
/// the type of v.
Tensor weighted_values(const Tensor& scores, const Tensor& v, const Dropout& dropout);

}  // namespace mtlora::backend::plain
