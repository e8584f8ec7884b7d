// One decoding step of the rows that share a prompt, key/value head by key/value head: all their
// queries against the prompt's keys as one matrix product, then each row against its own past.
#pragma once

#include "lib/backend/cpu/causal_attention.h"

namespace mtlora::backend::cpu {
namespace {

/// Lane i is the sum of x[i]'s lanes.
inline __m512 sums_of(const __m512 (&x)[16]) {
  __m512 y[8], z[4], w[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    y[i] = _mm512_add_ps(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]),
                         _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d a = _mm512_castps_pd(y[2 * i]), b = _mm512_castps_pd(y[2 * i + 1]);
    z[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    w[i] = _mm512_add_ps(_mm512_shuffle_f32x4(z[2 * i], z[2 * i + 1], 0x88),
                         _mm512_shuffle_f32x4(z[2 * i], z[2 * i + 1], 0xdd));
  return _mm512_add_ps(_mm512_shuffle_f32x4(w[0], w[1], 0x88),
                       _mm512_shuffle_f32x4(w[0], w[1], 0xdd));
}

/// The parts of the scratch memory, for one key/value head.
template <class T>
struct DecodeHead {
  const DecodeCall<T>& call;
  int64_t k_at, v_at, padded, stride, queries;
  float *keys, *values, *scores, *q, *out, *factors;

  DecodeHead(const DecodeCall<T>& of, int64_t kv_head)
      : call(of),
        k_at(kv_head * of.heads.head),
        v_at(of.heads.kv_width() + k_at),
        padded(rounded_up(of.prompt_tokens)),
        stride(padded + rounded_up(of.steps)),
        queries(of.rows * of.heads.group()),
        keys(of.scratch),
        values(keys + padded * of.heads.head),
        scores(values + padded * of.heads.head),
        q(scores + queries * stride),
        out(q + queries * of.heads.head),
        factors(out + queries * of.heads.head) {
    const int64_t width = of.heads.group() * of.heads.head;
    for (int64_t r = 0; r < of.rows; ++r)
      for (int64_t c = 0; c < width; c += lanes)
        store(q + r * width + c, load(of.q[r] + kv_head * width + c));
  }

  /// Where row r's token of step t lies.
  const T* token(int64_t r, int64_t t) const {
    return call.steps_kv + t * call.step_stride +
           call.ancestry[r * call.max_steps + t] * call.slot_stride;
  }

  /// Scores of row r's own past, of its queries n .. n + many - 1.
  template <int many>
  void score_steps(int64_t r, int64_t n) const {
    const int64_t head = call.heads.head;
    for (int64_t first_step = 0; first_step < call.steps; first_step += lanes) {
      __m512 products[many][16] = {};
      for (int64_t i = 0; i < smaller(lanes, call.steps - first_step); ++i) {
        const T* k = token(r, first_step + i) + k_at;
        __m512 sum[many] = {};
        for (int64_t c = 0; c < head; c += lanes) {
          const __m512 key = load(k + c);
#pragma GCC unroll 4
          for (int m = 0; m < many; ++m)
            sum[m] = _mm512_fmadd_ps(load(q + (n + m) * head + c), key, sum[m]);
        }
#pragma GCC unroll 4
        for (int m = 0; m < many; ++m) products[m][i] = sum[m];
      }
#pragma GCC unroll 4
      for (int m = 0; m < many; ++m)
        store(scores + (n + m) * stride + padded + first_step, sums_of(products[m]));
    }
  }

  /// One query's scores become exponentials; returns 1 / their sum.
  float soften(int64_t n) const {
    float* prompt = scores + n * stride;
    float* steps = prompt + padded;
    const float of_prompt = largest_of(prompt, call.prompt_tokens);
    const float of_steps = largest_of(steps, call.steps);
    const float largest = of_prompt > of_steps ? of_prompt : of_steps;
    return 1.0F / (exponentials(prompt, call.prompt_tokens, call.scale, largest) +
                   exponentials(steps, call.steps, call.scale, largest));
  }

  /// The result of row r's queries n .. n + many - 1, `vectors` vectors of the head from channel c
  /// on: factors · (`out`, which is what the prompt gave, + the values of the row's own past).
  template <int many, int vectors>
  void add_steps(int64_t r, int64_t n, int64_t c) const {
    const int64_t head = call.heads.head, group = call.heads.group();
    __m512 sum[many][vectors];
#pragma GCC unroll 4
    for (int m = 0; m < many; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[m][v] = load(out + (n + m) * head + c + v * lanes);
    multiply_steps<many, vectors>(sum, r, n, c);
    T* y = call.out[r] + (k_at / head * group + n % group) * head + c;
#pragma GCC unroll 4
    for (int m = 0; m < many; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        store(y + m * head + v * lanes, _mm512_mul_ps(sum[m][v], _mm512_set1_ps(factors[n + m])));
  }

  /// sum += weights · values of row r's own past.
  template <int many, int vectors>
  void multiply_steps(__m512 (&sum)[many][vectors], int64_t r, int64_t n, int64_t c) const {
    const float* weights = scores + n * stride + padded;
    for (int64_t t = 0; t < call.steps; ++t) {
      const T* value = token(r, t) + v_at + c;
      __m512 column[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) column[v] = load(value + v * lanes);
#pragma GCC unroll 4
      for (int m = 0; m < many; ++m) {
        const __m512 weight = _mm512_set1_ps(weights[m * stride + t]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[m][v] = _mm512_fmadd_ps(weight, column[v], sum[m][v]);
      }
    }
  }

  /// Calls f(row, first query, how many as a constant) for all queries, a few of one row at a time.
  template <class F>
  void each_few(F&& f) const {
    constexpr int most = 4;
    const int64_t group = call.heads.group();
    for (int64_t r = 0; r < call.rows; ++r)
      for (int64_t g = 0; g < group; g += most)
        with_rows<most>(group - g, [&](auto many) { f(r, r * group + g, many); });
  }
};

template <class T>
void decode_head(const DecodeCall<T>& call, int64_t kv_head) {
  const DecodeHead<T> of(call, kv_head);
  const int64_t head = call.heads.head;
  const PackedRows<T> k(call.prompt.from(0, of.k_at), call.prompt_tokens, head, of.keys);
  const Rows<const float> v =
      gathered(call.prompt.from(0, of.v_at), call.prompt_tokens, head, of.values);
  k.dots({of.q, head}, of.queries, of.padded, {of.scores, of.stride});
  of.each_few([&](int64_t r, int64_t n, auto many) { of.template score_steps<many.value>(r, n); });
  for (int64_t n = 0; n < of.queries; ++n) of.factors[n] = of.soften(n);
  product<false>({of.scores, of.stride, 1, v, of.queries, head, call.prompt_tokens, 1.0F},
                 Rows<float>{of.out, head});
  of.each_few([&](int64_t r, int64_t n, auto many) {
    constexpr int at_once = 4;
    for (int64_t c = 0; c < head; c += at_once * lanes)
      with_rows<at_once>((head - c) / lanes, [&](auto vectors) {
        of.template add_steps<many.value, vectors.value>(r, n, c);
      });
  });
}

template <class T>
void decode(const DecodeCall<T>& call) {
  for (int64_t g = 0; g < call.heads.kv_heads; ++g) decode_head(call, g);
}

}  // namespace
}  // namespace mtlora::backend::cpu
