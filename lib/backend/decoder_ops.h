// The operations under decoder models (GPT-2, Llama), on the same terms as ops.h: token-major
// activations in float32 or bfloat16 (double too, on the plain path), the calling thread only, our
// kernels for AVX-512 or CUDA or ordinary ATen operations, gradients for those inputs only that
// require them.
#pragma once

#include "lib/backend/ops.h"

namespace mtlora::backend {

/// Query head h reads key/value head h / (heads / kv_heads); kv_heads divides heads (Ainslie et al.
/// 2023, arXiv 2305.13245).
struct CausalShape {
  int64_t heads, kv_heads;
  double scale;  ///< of the scores, e.g. 1 / sqrt(head)
};

/// Causal attention of each packed sequence with itself. qkv [tokens, (heads + 2 · kv_heads) ·
/// head]: q | k | v, heads one after the other. Returns [tokens, heads · head]; filler rows give
/// zeros and get no gradient. Softmax and sums are fp32.
Tensor causal_attention(const Tensor& qkv, const Packing& packing, const CausalShape& shape,
                        const Dropout& dropout);

/// Angles of the rotary position embedding (Su et al. 2021, arXiv 2104.09864), fp32
/// [positions, head / 2].
struct Rotary {
  Tensor cos, sin;
};

/// qkv as above with channels i and i + head / 2 of its q and k heads rotated by the angles of
/// positions[token], int64 [tokens], as Hugging Face's rotate_half does; v is passed through.
Tensor rotate(const Tensor& qkv, const Tensor& positions, const Rotary& rotary,
              const CausalShape& shape);

/// x / sqrt(mean(x²) + eps) · gamma (Zhang & Sennrich 2019, arXiv 1910.07467); x [tokens, width],
/// gamma fp32 [width].
Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps);

/// What a pre-norm block goes on with: the residual stream, and its norm.
struct Normed {
  Tensor sum, normed;
};

/// sum = residual + dropout(x), in x's type; normed = RMSNorm(sum). One node with two outputs.
Normed add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma, double eps,
                    const Dropout& dropout);

/// sum = residual + dropout(x), in x's type; normed = LayerNorm(sum). One node with two outputs.
Normed add_layer_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                      const Dropout& dropout);

/// silu(gate) · up of gate | up, [tokens, 2 · inner] (Shazeer 2020, arXiv 2002.05202). Returns
/// [tokens, inner].
Tensor swiglu(const Tensor& gate_up);

/// GPT-2's GELU: x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) (Hendrycks & Gimpel 2016, arXiv
/// 1606.08415).
Tensor gelu_tanh(const Tensor& x);

/// What one decoding step attends to. The rows of a prompt (its beams) share the prompt's keys; a
/// row's own past is found through `ancestry`, so that reordering beams copies nothing.
struct DecodeKeys {
  Tensor prompt_kv;  ///< [prompt tokens of all prompts, 2 · kv_heads · head]: k | v, packed
  std::shared_ptr<const std::vector<int32_t>> prompt_offsets;  ///< [prompts + 1]
  const int32_t* prompt_of_row;  ///< [rows]; fastest where rows of one prompt stand together
  Tensor step_kv;  ///< [steps or more, rows capacity, 2 · kv_heads · head]: the tokens generated so
                   ///< far, this one included
  const int32_t* ancestry;  ///< [rows, max_steps]: row r's token of step t lies at
                            ///< step_kv[t][ancestry[r · max_steps + t]]
  int64_t max_steps, steps;
  /// On a CUDA device: what decode_tables() gives; undefined: brought there for this call alone.
  Tensor device_tables = {};
};

/// prompt_offsets, prompt_of_row and ancestry of `rows` rows, one after the other, int32 on a
/// device: the same for every layer of a step.
Tensor decode_tables(const DecodeKeys& keys, int64_t rows, at::Device device);

/// Attention of one new token a row: q [rows, heads · head]. Returns [rows, heads · head], without
/// a graph.
Tensor decode_attention(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape);

}  // namespace mtlora::backend
