// The operations of ops.h, decoder_ops.h, disentangled_ops.h, end_ops.h and optimizer_ops.h on a
// CUDA device: our kernels around LibTorch's products. For the sources of this folder only.
#pragma once

#include "lib/backend/cuda/runtime.h"
#include "lib/backend/decoder_ops.h"
#include "lib/backend/disentangled_ops.h"
#include "lib/backend/end_ops.h"
#include "lib/backend/kernel_call.h"
#include "lib/backend/optimizer_ops.h"

namespace mtlora::backend {

/// Whether the device's kernels take this tensor: on a CUDA device, float32 or bfloat16.
inline bool on_cuda(const Tensor& x) {
  return (x.is_cuda() || cuda::kernels_on_host()) &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         cuda::kernels_in_use();
}

namespace device {

Tensor self_attention(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
                      const Dropout& dropout);
Tensor pooled_attention(const Tensor& q, const Tensor& kv, const Packing& packing,
                        const AttentionShape& shape, const Dropout& dropout);
Tensor causal_attention(const Tensor& qkv, const Packing& packing, const CausalShape& shape,
                        const Dropout& dropout);
Tensor disentangled_attention(const Tensor& qkv, const RelativePositions& positions,
                              const Packing& packing, const AttentionShape& shape,
                              const Dropout& dropout);
Tensor disentangled_pooled_attention(const Tensor& q, const Tensor& kv,
                                     const RelativePositions& positions, const Packing& packing,
                                     const AttentionShape& shape, const Dropout& dropout);

/// Whether decode_attention() takes these.
bool takes_decode(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape);
Tensor decode_attention(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape);

Tensor dropout(const Tensor& x, const Dropout& dropout);
/// [rows, channels], or with heads [heads, rows, channels], each head with its own key.
Tensor mask_factors(const Dropout& dropout, int64_t channels, int64_t heads = 0);

/// Rows that the norm kernels take.
bool takes_norm(const Tensor& x);
Tensor layer_norm(const Tensor& x, const Affine& affine);
Branches dropout_add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                          const Dropout& dropout);
Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps);
/// beta of `affine` undefined: RMS norm.
Normed add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                const Dropout& dropout);

/// Whether embed() takes these: it has no gradients.
bool takes_embed(const std::vector<Lookup>& lookups, const Affine& affine);
Tensor embed(const std::vector<Lookup>& lookups, const Affine& affine, const Dropout& dropout);
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double label_smoothing);

Tensor swiglu(const Tensor& gate_up);
Tensor rotate(const Tensor& qkv, const Tensor& positions, const Rotary& rotary,
              const CausalShape& shape);

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias);
Tensor linear_low_rank(const Tensor& x, const Weight& weight, const Tensor& bias,
                       const LowRank& low_rank);

// Of contiguous fp32 tensors.
void fused_adamw(const AdamWState& state, const AdamW& rule, const Tensor& skipped);
void put_together(const std::vector<Tensor>& parts, const Tensor& flat);
Tensor gradient_norm(const Tensor& gradient);
Verdict judge(const Tensor& gradient, const Tensor& loss, double most);

}  // namespace device
}  // namespace mtlora::backend
