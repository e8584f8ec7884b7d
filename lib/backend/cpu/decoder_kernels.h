// The CPU kernels of decoders, on the same terms as kernels.h.
#pragma once

#include "lib/backend/cpu/kernels.h"

namespace mtlora::backend::cpu {

/// Heads of a decoder's attention: query head h reads key/value head h / (heads / kv_heads).
struct HeadGroups {
  int64_t heads, kv_heads, head;  ///< `head` is a multiple of 16
  constexpr int64_t group() const { return heads / kv_heads; }
  constexpr int64_t width() const { return heads * head; }
  constexpr int64_t kv_width() const { return kv_heads * head; }
  constexpr int64_t columns() const { return (heads + 2 * kv_heads) * head; }
};

/// All heads of one sequence: out = dropout(softmax(scale · q kᵀ)) v where query i sees keys 0 ..
/// i. The row of a query is its row in `mask`.
template <class T>
struct CausalForward {
  Rows<const T> qkv;  ///< [tokens, columns()]: q | k | v
  Rows<T> out;        ///< [tokens, width()]
  float* statistics;  ///< [tokens, heads, 2]: the largest score and 1 / the sum of exponentials
  int64_t tokens;
  HeadGroups heads;
  float scale;
  Mask mask;
  float* scratch;  ///< causal_scratch(tokens, heads) floats
};

/// Gradients of CausalForward; probabilities are computed anew.
template <class T>
struct CausalBackward {
  Rows<const T> qkv, dout;
  Rows<T> dqkv;
  const float* statistics;
  int64_t tokens;
  HeadGroups heads;
  float scale;
  Mask mask;
  float* scratch;
};

/// Query rows that causal attention works on at a time: the lanes of a vector, so that the keys
/// which a block sees end with a whole vector.
constexpr int64_t causal_block = 16;

constexpr int64_t causal_scratch(int64_t tokens, const HeadGroups& heads) {
  const int64_t padded = (tokens + 15) / 16 * 16;
  return 5 * padded * heads.head + 2 * causal_block * heads.group() * (padded + heads.head);
}

/// One decoding step of rows that share a prompt: every row sees the prompt's keys, then those of
/// its own past.
template <class T>
struct DecodeCall {
  Rows<const T> q;       ///< [rows, width()]
  Rows<const T> prompt;  ///< [prompt_tokens, 2 · kv_width()]: k | v
  int64_t prompt_tokens;
  const T* steps_kv;  ///< token of step t in slot s: + t · step_stride + s · slot_stride
  int64_t step_stride, slot_stride;
  const int32_t* ancestry;  ///< [rows, max_steps]: the slot of a row's token of each step
  int64_t max_steps, steps;
  Rows<T> out;
  int64_t rows;  ///< at most decode_rows
  HeadGroups heads;
  float scale;
  float* scratch;  ///< decode_scratch(prompt_tokens, steps, heads) floats
};

constexpr int64_t decode_rows = 16;

constexpr int64_t decode_scratch(int64_t prompt_tokens, int64_t steps, const HeadGroups& heads) {
  const int64_t padded = (prompt_tokens + 15) / 16 * 16, queries = decode_rows * heads.group();
  return 2 * padded * heads.head + queries * (padded + (steps + 15) / 16 * 16 + 2 * heads.head + 1);
}

/// y = x with channels i and i + half of the first `rotated` heads turned by the row's angle, or
/// back; the columns after them are copied.
template <class T>
struct RotateCall {
  Rows<const T> x;
  Rows<T> y;
  const int64_t* positions;  ///< [rows]
  const float *cos, *sin;    ///< [positions, half]
  int64_t rows, columns, rotated, half;
  bool backwards;
};

/// sum = residual + dropout(x); normed = (sum - mean) · rstd · gamma + beta. Where `residual` is
/// null, x is the sum and `sum` is not written. RMSNorm where `beta` is null: the mean counts as 0.
template <class T>
struct PreNormForward {
  Rows<const T> x, residual;
  const float *gamma, *beta;
  float eps;
  Rows<T> sum, normed;
  float* statistics;  ///< [rows, 2]: mean and rstd; may be null
  int64_t rows, width;
  Mask mask;
  float* scratch;  ///< [width]
};

/// Gradients of PreNormForward; dsum may be null, dx (through the dropout), and dgamma and dbeta,
/// which are added to.
template <class T>
struct PreNormBackward {
  Rows<const T> dnormed, dsum, sum;
  const float *statistics, *gamma;
  bool centred;  ///< LayerNorm, not RMSNorm
  Rows<T> dresidual, dx;
  float *dgamma, *dbeta;
  int64_t rows, width;
  Mask mask;
  float* scratch;  ///< [2 · width]
};

/// y [rows, inner] = silu(gate) · up of x [rows, 2 · inner]: gate | up; the gradient of x where
/// `dy` is not null, in `dx`.
template <class T>
struct SwigluCall {
  Rows<const T> x, dy;
  Rows<T> y, dx;
  int64_t rows, inner;
};

/// All decoder kernels of one element type.
template <class T>
struct DecoderKernels {
  void (*causal_forward)(const CausalForward<T>&);
  void (*causal_backward)(const CausalBackward<T>&);
  void (*decode)(const DecodeCall<T>&);
  void (*rotate)(const RotateCall<T>&);
  void (*pre_norm_forward)(const PreNormForward<T>&);
  void (*pre_norm_backward)(const PreNormBackward<T>&);
  void (*swiglu_forward)(const SwigluCall<T>&);
  void (*swiglu_backward)(const SwigluCall<T>&);
  void (*gelu_tanh_forward)(const T* x, T* y, int64_t count);
  void (*gelu_tanh_backward)(const T* x, const T* dy, T* dx, int64_t count);
};

/// The kernels of an element type for this CPU, which must have AVX-512.
template <class T>
const DecoderKernels<T>& decoder_kernels();

// The compilations among which decoder_kernels() chooses, as in kernels.h.
extern const DecoderKernels<float> float_decoder_avx512;
extern const DecoderKernels<Bf16> bf16_decoder_avx512;
extern const DecoderKernels<Bf16> bf16_decoder_avx512bf16;

}  // namespace mtlora::backend::cpu
