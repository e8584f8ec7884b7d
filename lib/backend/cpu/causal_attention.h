// Causal attention of one sequence, key/value head by key/value head, 16 queries at a time against
// the keys up to their last one: nothing above the diagonal's tiles is computed. Otherwise as in
// attention.h. All arithmetic is fp32.
#pragma once

#include "lib/backend/cpu/attention.h"
#include "lib/backend/cpu/decoder_kernels.h"

namespace mtlora::backend::cpu {
namespace {

/// `count` rows of one head as contiguous fp32.
template <class T>
Rows<const float> gathered(Rows<const T> x, int64_t count, int64_t head, float* copy) {
  for (int64_t r = 0; r < count; ++r)
    for (int64_t c = 0; c < head; c += lanes) store(copy + r * head + c, load(x[r] + c));
  return {copy, head};
}

/// The rows of one head as the columns of a packed matrix, fp32 (gemm.h).
template <class T>
struct PackedRows {
  const float* packed;
  int64_t rows, head;
  PackedRows(Rows<const T> x, int64_t count, int64_t head_size, float* memory)
      : packed(memory), rows(count), head(head_size) {
    pack<float, T>({x.data, 1, x.stride, head, count, memory});
  }
  /// y [queries, keys] = the dot products of q's rows and the first `keys` of these; keys is a
  /// multiple of 16.
  void dots(Rows<const float> q, int64_t queries, int64_t keys, Rows<float> y) const {
    for (int64_t c = 0; c < keys; c += panel_columns) {
      const int64_t stride = smaller(panel_columns, rounded_up(rows) - c);
      product<false>({q.data,
                      q.stride,
                      1,
                      {packed + packed_offset(head, c), stride},
                      queries,
                      smaller(panel_columns, keys - c),
                      head,
                      1.0F},
                     y.from(0, c));
    }
  }
};

inline Mask of_head(Mask mask, int64_t h) {
  mask.key = head_key(mask.key, h);
  return mask;
}

template <class T>
void causal_forward_group(const CausalForward<T>& call, int64_t kv_head) {
  const int64_t head = call.heads.head, tokens = call.tokens, padded = rounded_up(tokens);
  const int64_t k_at = call.heads.width() + kv_head * head, v_at = k_at + call.heads.kv_width();
  float* v_copy = call.scratch + padded * head;
  float* scores = v_copy + padded * head;
  float* q_copy = scores + causal_block * padded;
  const PackedRows<T> k(call.qkv.from(0, k_at), tokens, head, call.scratch);
  const Rows<const float> v = gathered(call.qkv.from(0, v_at), tokens, head, v_copy);
  for (int64_t i = 0; i < tokens; i += causal_block)
    for (int64_t g = 0; g < call.heads.group(); ++g) {
      const int64_t h = kv_head * call.heads.group() + g, at = h * head;
      const int64_t rows = smaller(causal_block, tokens - i), seen = i + causal_block;
      const Rows<const float> q = as_float(call.qkv.from(i, at), rows, head, q_copy);
      k.dots(q, rows, seen, {scores, seen});
      const Mask mask = of_head(call.mask, h);
      for (int64_t r = 0; r < rows; ++r) {
        float* row = scores + r * seen;
        probabilities_of(row, i + r + 1, seen, call.scale,
                         call.statistics + ((i + r) * call.heads.heads + h) * 2,
                         RowDropout(mask, i + r), row);
      }
      product<false>({scores, seen, 1, v, rows, head, i + rows, 1.0F}, call.out.from(i, at));
    }
}

template <class T>
void causal_forward(const CausalForward<T>& call) {
  for (int64_t g = 0; g < call.heads.kv_heads; ++g) causal_forward_group(call, g);
}

/// What the query heads of one key/value head share in the backward pass, and where it sums up.
template <class T>
struct CausalBackwardGroup {
  const CausalBackward<T>& call;
  int64_t first_head, k_at, v_at;
  PackedRows<T> k_packed, v_packed;
  Rows<const float> k;
  float *dk, *dv;                              // [tokens, head]
  float *scores, *gradient, *q_rows, *d_rows;  // a block's rows, head by head

  CausalBackwardGroup(const CausalBackward<T>& of, int64_t kv_head)
      : call(of),
        first_head(kv_head * of.heads.group()),
        k_at(of.heads.width() + kv_head * of.heads.head),
        v_at(k_at + of.heads.kv_width()),
        k_packed(of.qkv.from(0, k_at), of.tokens, of.heads.head, of.scratch),
        v_packed(of.qkv.from(0, v_at), of.tokens, of.heads.head, of.scratch + matrix()),
        k(gathered(of.qkv.from(0, k_at), of.tokens, of.heads.head, of.scratch + 2 * matrix())),
        dk(of.scratch + 3 * matrix()),
        dv(dk + matrix()),
        scores(dv + matrix()),
        gradient(scores + causal_block * of.heads.group() * rounded_up(of.tokens)),
        q_rows(gradient + causal_block * of.heads.group() * rounded_up(of.tokens)),
        d_rows(q_rows + causal_block * of.heads.group() * of.heads.head) {
    std::memset(dk, 0, static_cast<size_t>(2 * matrix()) * sizeof(float));
  }

  int64_t matrix() const { return rounded_up(call.tokens) * call.heads.head; }

  /// Queries i .. i + 15 of all heads.
  void block(int64_t i) const {
    const int64_t head = call.heads.head, group = call.heads.group();
    const int64_t rows = smaller(causal_block, call.tokens - i), all = group * rows;
    const int64_t seen = i + causal_block, keys = i + rows;
    for (int64_t g = 0; g < group; ++g) {
      const int64_t at = (first_head + g) * head;
      gathered(call.qkv.from(i, at), rows, head, q_rows + g * rows * head);
      gathered(call.dout.from(i, at), rows, head, d_rows + g * rows * head);
    }
    k_packed.dots({q_rows, head}, all, seen, {scores, seen});
    v_packed.dots({d_rows, head}, all, seen, {gradient, seen});
    for (int64_t g = 0; g < group; ++g) differentiate(i, rows, g);
    product<true>({gradient, 1, seen, {q_rows, head}, keys, head, all, call.scale},
                  Rows<float>{dk, head});
    product<true>({scores, 1, seen, {d_rows, head}, keys, head, all, 1.0F}, Rows<float>{dv, head});
  }

  /// The block's rows of the group's head g: scores and gradients, and from them dq.
  void differentiate(int64_t i, int64_t rows, int64_t g) const {
    const int64_t h = first_head + g, head = call.heads.head, seen = i + causal_block;
    const Mask mask = of_head(call.mask, h);
    float* s = scores + g * rows * seen;
    float* d = gradient + g * rows * seen;
    for (int64_t r = 0; r < rows; ++r)
      score_gradient(s + r * seen, d + r * seen, i + r + 1, call.scale,
                     call.statistics + ((i + r) * call.heads.heads + h) * 2,
                     RowDropout(mask, i + r));
    product<false>({d, seen, 1, k, rows, head, i + rows, call.scale}, call.dqkv.from(i, h * head));
  }

  void finish() const {
    const int64_t head = call.heads.head;
    for (int64_t j = 0; j < call.tokens; ++j)
      for (int64_t c = 0; c < head; c += lanes) {
        store(call.dqkv[j] + k_at + c, load(dk + j * head + c));
        store(call.dqkv[j] + v_at + c, load(dv + j * head + c));
      }
  }
};

template <class T>
void causal_backward(const CausalBackward<T>& call) {
  for (int64_t g = 0; g < call.heads.kv_heads; ++g) {
    const CausalBackwardGroup<T> shared(call, g);
    for (int64_t i = 0; i < call.tokens; i += causal_block) shared.block(i);
    shared.finish();
  }
}

}  // namespace
}  // namespace mtlora::backend::cpu
