// The CUDA kernels, as plain functions on device pointers. They see no LibTorch; what belongs to
// tensors is in the sources of lib/backend. Every kernel gives the same bits at every run: none
// adds by atomics.
#pragma once

#include <cstdint>

namespace mtlora::backend::cuda {

/// A cudaStream_t; null is the default one.
using Stream = void*;

/// Of activations; everything else is fp32.
enum class Element { f32, bf16 };

/// Rows of a matrix on the device, `stride` elements apart; null data: none.
struct Matrix {
  void* data = nullptr;
  int64_t stride = 0;
};

/// dropout.h on the device. The key of a call is `key`, or, where `step_key` points to the key of
/// the step, combine(*step_key, key): a captured graph reads it anew at every replay.
struct Mask {
  const int64_t* rows = nullptr;  ///< identities; null: no dropout
  const uint64_t* step_key = nullptr;
  uint64_t key = 0;
  uint32_t threshold = 0;
  float scale = 1;  ///< of what is kept
};

/// y [rows, columns] = x · mask, or y += x · mask.
struct DropoutCall {
  Element element;
  Matrix x, y;
  int64_t rows, columns;
  Mask mask;
  bool accumulate;
};
void dropout(const DropoutCall& call, Stream stream);

/// One matrix out of blocks: fp32 matrices of any strides, side by side or below each other, zeros
/// between them.
struct Blocks {
  static constexpr int kMost = 8;
  struct Block {
    const float* data;
    int64_t row_stride, column_stride;
    int64_t row, column;  ///< where it begins in the whole
    int64_t rows, columns;
  };
  Matrix whole;
  int64_t rows, columns;  ///< their product below 2³²
  int count;
  Block block[kMost];
};
/// Both wholes are of the element's type.
void place_blocks(Element element, const Blocks& first, const Blocks& second, Stream stream);

/// factors [heads, rows, columns] of the mask, fp32; the key of head h is head_key(key, h), or the
/// mask's own where `by_head` is false (then heads is 1).
void mask_factors(const Mask& mask, int64_t heads, int64_t rows, int64_t columns, bool by_head,
                  float* factors, Stream stream);

/// The widest row that the kernels below norm: a block has it in shared memory.
constexpr int64_t kWidestNorm = 12'000;

/// sum = residual + dropout(x); normalized = (sum - mean) · rstd, or sum · rstd (RMS);
/// y = normalized · gamma + beta.
struct NormCall {
  Element element;
  Matrix x, residual;         ///< residual may be none
  const float *gamma, *beta;  ///< beta null: RMS norm
  Matrix y, sum, normalized;  ///< sum and normalized may be none
  float* rstd;                ///< [rows]; null: not wanted
  int64_t rows, width;        ///< width up to kWidestNorm
  float eps;
  Mask mask;
};
void norm_forward(const NormCall& call, Stream stream);

/// dresidual = d loss / d sum, of dy (+ more_dy) and, where there is one, of dsum; dx = dresidual ·
/// mask.
struct NormBackwardCall {
  Element element;
  Matrix dy, more_dy, dsum;  ///< more_dy and dsum may be none
  Matrix normalized;
  const float *rstd, *gamma;
  bool centred;          ///< LayerNorm; else RMS
  Matrix dresidual, dx;  ///< dx none: not wanted
  int64_t rows, width;
  Mask mask;
};
void norm_backward(const NormBackwardCall& call, Stream stream);

/// y [rows, width] = norm(Σ of the tables' rows) · gamma + beta, with dropout.
struct EmbedCall {
  static constexpr int kMost = 3;
  struct From {
    Matrix table;
    const int64_t* rows;
    int64_t first;  ///< row rows[i] + first of the table
  };
  Element element;
  From from[kMost];
  int count;
  const float *gamma, *beta;
  Matrix y;
  int64_t rows, width;  ///< width up to kWidestNorm
  float eps;
  Mask mask;
};
void embed(const EmbedCall& call, Stream stream);

/// Cross-entropy summed over the rows, fp32; logits [rows, classes], labels [rows].
struct CrossEntropyCall {
  Element element;
  Matrix logits;
  const int64_t* labels;
  int64_t rows, classes;
  float smoothing;
};
void cross_entropy(const CrossEntropyCall& call, float* loss, Stream stream);
/// dx = slope · its gradient
void cross_entropy_backward(const CrossEntropyCall& call, const float* slope, Matrix dx,
                            Stream stream);

/// silu(gate) · up of gate | up [rows, 2 · inner], and its gradient.
void swiglu_forward(Element element, Matrix gate_up, Matrix y, int64_t rows, int64_t inner,
                    Stream stream);
void swiglu_backward(Element element, Matrix gate_up, Matrix dy, Matrix dx, int64_t rows,
                     int64_t inner, Stream stream);

/// Channels i and i + head / 2 of the first `rotated_heads` heads turned by the angles of
/// positions[row]; the other columns are copied. cos and sin [positions, head / 2].
struct RotateCall {
  Element element;
  Matrix x, y;
  const int64_t* positions;
  const float *cos, *sin;
  int64_t rows, columns, rotated_heads, half;
  bool backwards;
};
void rotate(const RotateCall& call, Stream stream);

/// x [count] as sums of squares, one a block: partials [square_blocks(count)].
int square_blocks(int64_t count);
void sum_squares(const float* x, int64_t count, float* partials, Stream stream);

/// fp32 arrays that are to lie one after the other.
struct Pieces {
  static constexpr int kMost = 64;
  struct One {
    const float* from;
    float* to;
    int64_t count;
    unsigned first_block;  ///< set by put_together()
  };
  int count;
  One one[kMost];
};
void put_together(Pieces pieces, Stream stream);

/// A step before its update, found without the CPU: the root of all partials is the norm.
struct VerdictCall {
  const float* partials;
  int count;
  const double* loss;
  double most;      ///< the norm after clipping; 0: any
  double* numbers;  ///< [2]: the loss, the norm
  float* skipped;   ///< 1 where a number is not finite, else 0
  float* factor;    ///< backend::clip_factor of the norm
};
void judge(const VerdictCall& call, Stream stream);

/// Tensors of AdamW; everything is fp32. steps: a number, the updates before this one.
struct AdamWTensors {
  static constexpr int kMost = 64;
  struct One {
    float *param, *exp_avg, *exp_avg_sq;
    const float* grad;
    float* steps;
    int64_t count;
    unsigned first_block;  ///< set by adamw()
  };
  int count;
  One one[kMost];
};
struct AdamWRule {
  double lr, beta1, beta2, eps, weight_decay;
};
/// One update of all, which counts `steps` up; none where `skipped` is neither null nor 0.
void adamw(AdamWTensors tensors, const AdamWRule& rule, const float* skipped, Stream stream);

/// What disentangled attention adds to the scores: c2p [heads, query rows, count] and p2c [heads,
/// tokens, count] in fp32; distance d reads column row_of[d + reach - 1].
struct Relative {
  const float *c2p = nullptr, *p2c = nullptr;
  float *dc2p = nullptr, *dp2c = nullptr;  ///< their gradients, fp32, zeros before the call
  const int32_t* row_of = nullptr;
  int64_t count = 0, reach = 0;
};

/// The widest head that the attention kernels take, and the most sequences at once: one less than a
/// grid's third dimension has.
constexpr int64_t kWidestHead = 128;
constexpr int64_t kMostSequences = 65'534;

/// Attention of packed sequences: sequence i is rows offsets[i] .. offsets[i + 1] of k and v, and
/// of q, or row i of q where `pooled`. Rows of q, k and v after the last offset get zeros.
struct AttentionCall {
  Element element;
  Matrix q, k, v;          ///< columns: heads one after the other
  Matrix out;              ///< like q
  float* statistics;       ///< [rows of q, heads, 2]: the softmax's largest score, 1 / sum
  float* wide;             ///< `out` in fp32 for the backward pass; null: out is that, or
                           ///< there will be none
  const int32_t* offsets;  ///< [sequences + 1]
  int64_t sequences, query_rows, key_rows;  ///< sequences up to kMostSequences
  int64_t longest;                          ///< no sequence has more tokens
  int64_t heads, kv_heads, head;            ///< head up to kWidestHead
  float scale;
  bool causal, pooled;
  Mask mask;  ///< rows are those of q, channels the keys' places
  Relative relative;
};
void attention_forward(const AttentionCall& call, Stream stream);

/// One new token a row, over its prompt's keys and its own past: see backend::DecodeKeys, whose
/// tables are on the device here.
struct DecodeCall {
  /// A row's scores lie in a block's shared memory; every device has room for these.
  static constexpr int64_t kMostKeys = 20'000;
  Element element;
  Matrix q, out, prompt_kv;
  const void* step_kv;
  int64_t step_stride, step_row_stride;  ///< elements between steps, and between their rows
  const int32_t *prompt_offsets, *prompt_of_row, *ancestry;
  int64_t rows, heads, kv_heads, head, max_steps, steps;
  int64_t longest;  ///< no prompt has more tokens; with the steps, up to kMostKeys
  float scale;
};
void decode_attention(const DecodeCall& call, Stream stream);

struct AttentionBackwardCall {
  AttentionCall forward;  ///< with out, statistics and wide as they were computed
  Matrix dout, dq, dk, dv;
  float* delta;  ///< [rows of q, heads]: room for what both kernels of fp32 need; else null
};
void attention_backward(const AttentionBackwardCall& call, Stream stream);

}  // namespace mtlora::backend::cuda
