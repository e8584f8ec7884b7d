// Attention of one sequence, head by head (Vaswani et al. 2017, arXiv 1706.03762), 32 queries at a
// time against all keys; the backward pass computes the probabilities anew from the saved row
// maximum and sum (Dao et al. 2022, arXiv 2205.14135). All arithmetic is fp32.
#pragma once

#include "lib/backend/cpu/gemm.h"

namespace mtlora::backend::cpu {
namespace {

constexpr int attention_rows = 8;

/// `count` rows of one head as fp32: in place where they are fp32 already, else copied.
inline Rows<const float> as_float(Rows<const float> x, int64_t, int64_t, float*) {
  return x;
}
inline Rows<const float> as_float(Rows<const Bf16> x, int64_t count, int64_t head, float* copy) {
  for (int64_t r = 0; r < count; ++r)
    for (int64_t c = 0; c < head; c += lanes) store(copy + r * head + c, load(x[r] + c));
  return {copy, head};
}

/// The transpose of `count` rows: [head, padded], zeros after `count`.
template <class T>
void transpose_rows(Rows<const T> x, int64_t count, int64_t head, int64_t padded, float* out) {
  for (int64_t j = 0; j < padded; j += lanes)
    for (int64_t c = 0; c < head; c += lanes) {
      __m512i words[16];
      for (int64_t i = 0; i < lanes; ++i)
        words[i] = j + i < count ? _mm512_castps_si512(load(x[j + i] + c)) : _mm512_setzero_si512();
      transpose(words);
      for (int64_t i = 0; i < lanes; ++i) _mm512_storeu_si512(out + (c + i) * padded + j, words[i]);
    }
}

/// y [rows, columns] = factor · a · b, or y += it, for fp32 a of any strides and rows of b;
/// columns is a multiple of 16.
struct Product {
  const float* a;
  int64_t a_row, a_depth;
  Rows<const float> b;
  int64_t rows, columns, depth;
  float factor;
};

template <bool accumulate, int vectors, class Out>
inline void product_columns(const Product& p, Rows<Out> y, int64_t column) {
  for (int64_t row = 0; row < p.rows; row += attention_rows)
    with_rows<attention_rows>(p.rows - row, [&](auto rows) {
      __m512 sum[rows.value][vectors];
      clear(sum);
      multiply<float>(sum, p.a + row * p.a_row, p.a_row, p.a_depth, p.b.data + column, p.b.stride,
                      p.depth);
      const __m512 factor = _mm512_set1_ps(p.factor);
#pragma GCC unroll 16
      for (int r = 0; r < rows.value; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
          Out* out = y[row + r] + column + v * lanes;
          __m512 value = _mm512_mul_ps(sum[r][v], factor);
          if constexpr (accumulate) value = _mm512_add_ps(value, load(out));
          store(out, value);
        }
    });
}

template <bool accumulate, class Out>
inline void product(const Product& p, Rows<Out> y) {
  int64_t column = 0;
  for (; column + 2 * lanes <= p.columns; column += 2 * lanes)
    product_columns<accumulate, 2>(p, y, column);
  if (column < p.columns) product_columns<accumulate, 1>(p, y, column);
}

/// One row of scores becomes exp(scale (score - largest)); returns the sum, zeros after `keys`.
inline float exponentials(float* row, int64_t keys, float scale, float largest) {
  __m512 sum = _mm512_setzero_ps();
  over(keys, [&](int64_t c, __mmask16 mask) {
    const __m512 shifted = _mm512_sub_ps(load(row + c), _mm512_set1_ps(largest));
    const __m512 e =
        _mm512_maskz_mov_ps(mask, exponential(_mm512_mul_ps(shifted, _mm512_set1_ps(scale))));
    sum = _mm512_add_ps(sum, e);
    store(row + c, e);
  });
  return _mm512_reduce_add_ps(sum);
}

inline float largest_of(const float* row, int64_t keys) {
  __m512 largest = _mm512_set1_ps(-__builtin_inff());
  over(keys, [&](int64_t c, __mmask16 mask) {
    largest = _mm512_mask_max_ps(largest, mask, largest, load(row + c));
  });
  return _mm512_reduce_max_ps(largest);
}

/// One row of scores becomes its dropped probabilities, `columns` of them (a multiple of 16, zeros
/// after `keys`), in `out`, which may be the row itself; statistics become the largest score and 1
/// / the sum of exponentials.
template <class Out>
inline void probabilities_of(float* row, int64_t keys, int64_t columns, float scale,
                             float* statistics, const RowDropout& drop, Out* out) {
  statistics[0] = largest_of(row, keys);
  statistics[1] = 1.0F / exponentials(row, keys, scale, statistics[0]);
  const __m512 inverse = _mm512_set1_ps(statistics[1]);
  for (int64_t c = 0; c < columns; c += lanes)
    store(out + c, drop(_mm512_mul_ps(load(row + c), inverse), c));
}

template <class T>
void attention_forward_head(const AttentionForward<T>& call, int64_t h) {
  const int64_t head = call.head, keys = call.keys, padded = rounded_up(keys), at = h * head;
  float* k_transposed = call.scratch;
  float* v_copy = k_transposed + padded * head;
  float* scores = v_copy + padded * head;
  float* q_copy = scores + attention_block * padded;
  transpose_rows(call.k.from(0, at), keys, head, padded, k_transposed);
  const Rows<const float> v = as_float(call.v.from(0, at), keys, head, v_copy);
  Mask mask = call.mask;
  mask.key = head_key(mask.key, h);
  for (int64_t i = 0; i < call.queries; i += attention_block) {
    const int64_t rows = smaller(attention_block, call.queries - i);
    const Rows<const float> q = as_float(call.q.from(i, at), rows, head, q_copy);
    product<false>({q.data, q.stride, 1, {k_transposed, padded}, rows, padded, head, 1.0F},
                   Rows<float>{scores, padded});
    for (int64_t r = 0; r < rows; ++r) {
      float* row = scores + r * padded;
      probabilities_of(row, keys, padded, call.scale,
                       call.statistics + ((i + r) * call.heads + h) * 2, RowDropout(mask, i + r),
                       row);
    }
    product<false>({scores, padded, 1, v, rows, head, keys, 1.0F}, call.out.from(i, at));
  }
}

template <class T>
void attention_forward(const AttentionForward<T>& call) {
  for (int64_t h = 0; h < call.heads; ++h) attention_forward_head(call, h);
}

/// Row r of a block: on entry scores and the gradient of the dropped probabilities; on return the
/// dropped probabilities and the gradient of the scores (before `scale`).
inline void score_gradient(float* scores, float* gradient, int64_t keys, float scale,
                           const float* statistics, const RowDropout& drop) {
  exponentials(scores, keys, scale, statistics[0]);
  const __m512 inverse = _mm512_set1_ps(statistics[1]);
  __m512 sum = _mm512_setzero_ps();
  over(keys, [&](int64_t c, __mmask16 mask) {
    const __m512 p = _mm512_mul_ps(load(scores + c), inverse);
    const __m512 dp = _mm512_maskz_mov_ps(mask, drop(load(gradient + c), c));
    sum = _mm512_fmadd_ps(p, dp, sum);
    store(scores + c, p);
    store(gradient + c, dp);
  });
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum));
  over(keys, [&](int64_t c, __mmask16) {
    const __m512 p = load(scores + c);
    store(gradient + c, _mm512_mul_ps(p, _mm512_sub_ps(load(gradient + c), mean)));
    store(scores + c, drop(p, c));
  });
}

template <class T>
void attention_backward_head(const AttentionBackward<T>& call, int64_t h) {
  const int64_t head = call.head, keys = call.keys, padded = rounded_up(keys), at = h * head;
  float* k_transposed = call.scratch;
  float* v_transposed = k_transposed + padded * head;
  float* k_copy = v_transposed + padded * head;
  const Rows<float> dk{k_copy + padded * head, head}, dv{dk.data + padded * head, head};
  float* scores = dv.data + padded * head;
  float* gradient = scores + attention_block * padded;
  float* q_copy = gradient + attention_block * padded;
  float* d_copy = q_copy + attention_block * head;
  transpose_rows(call.k.from(0, at), keys, head, padded, k_transposed);
  transpose_rows(call.v.from(0, at), keys, head, padded, v_transposed);
  const Rows<const float> k = as_float(call.k.from(0, at), keys, head, k_copy);
  std::memset(dk.data, 0, static_cast<size_t>(2 * padded * head) * sizeof(float));
  Mask mask = call.mask;
  mask.key = head_key(mask.key, h);
  for (int64_t i = 0; i < call.queries; i += attention_block) {
    const int64_t rows = smaller(attention_block, call.queries - i);
    const Rows<const float> q = as_float(call.q.from(i, at), rows, head, q_copy);
    const Rows<const float> d = as_float(call.dout.from(i, at), rows, head, d_copy);
    product<false>({q.data, q.stride, 1, {k_transposed, padded}, rows, padded, head, 1.0F},
                   Rows<float>{scores, padded});
    product<false>({d.data, d.stride, 1, {v_transposed, padded}, rows, padded, head, 1.0F},
                   Rows<float>{gradient, padded});
    for (int64_t r = 0; r < rows; ++r)
      score_gradient(scores + r * padded, gradient + r * padded, keys, call.scale,
                     call.statistics + ((i + r) * call.heads + h) * 2, RowDropout(mask, i + r));
    product<false>({gradient, padded, 1, k, rows, head, keys, call.scale}, call.dq.from(i, at));
    product<true>({gradient, 1, padded, q, keys, head, rows, call.scale}, dk);
    product<true>({scores, 1, padded, d, keys, head, rows, 1.0F}, dv);
  }
  for (int64_t j = 0; j < keys; ++j)
    for (int64_t c = 0; c < head; c += lanes) {
      store(call.dk[j] + at + c, load(dk[j] + c));
      store(call.dv[j] + at + c, load(dv[j] + c));
    }
}

template <class T>
void attention_backward(const AttentionBackward<T>& call) {
  for (int64_t h = 0; h < call.heads; ++h) attention_backward_head(call, h);
}

}  // namespace
}  // namespace mtlora::backend::cpu
