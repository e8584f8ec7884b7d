// Kernels of rows and elements: dropout, residual + dropout + LayerNorm, GELU.
#pragma once

#include <cmath>

#include "lib/backend/cpu/vector.h"

namespace mtlora::backend::cpu {
namespace {

template <class T>
void dropout(const DropoutCall<T>& call) {
  for (int64_t row = 0; row < call.rows; ++row) {
    const RowDropout drop(call.mask, row);
    const T* x = call.x[row];
    T* y = call.y[row];
    for (int64_t c = 0; c < call.width; c += lanes) {
      const __mmask16 mask = first(call.width - c);
      __m512 value = drop(load(x + c, mask), c);
      if (call.accumulate) value = _mm512_add_ps(value, load(y + c, mask));
      store(y + c, value, mask);
    }
  }
}

// LayerNorm (Ba et al. 2016, arXiv 1607.06450): mean first, then the variance of what is left.
template <class T>
void norm_forward(const NormForward<T>& call) {
  const auto width = static_cast<float>(call.width);
  float* sums = call.scratch;
  for (int64_t row = 0; row < call.rows; ++row) {
    const RowDropout drop(call.mask, row);
    const T* x = call.x[row];
    const T* residual = call.residual ? call.residual[row] : nullptr;
    __m512 sum = _mm512_setzero_ps(), squares = sum;
    over(call.width, [&](int64_t c, __mmask16 mask) {
      __m512 value = drop(load(x + c, mask), c);
      if (residual) value = _mm512_add_ps(value, load(residual + c, mask));
      sum = _mm512_add_ps(sum, value);
      store(sums + c, value, mask);
    });
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / width);
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 centred = _mm512_maskz_sub_ps(mask, load(sums + c, mask), mean);
      squares = _mm512_fmadd_ps(centred, centred, squares);
    });
    const float rstd = 1.0F / std::sqrt(_mm512_reduce_add_ps(squares) / width + call.eps);
    if (call.rstd) call.rstd[row] = rstd;
    T* y = call.y[row];
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 normalized =
          _mm512_mul_ps(_mm512_sub_ps(load(sums + c, mask), mean), _mm512_set1_ps(rstd));
      if (call.normalized) store(call.normalized[row] + c, normalized, mask);
      store(y + c,
            _mm512_fmadd_ps(normalized, load(call.gamma + c, mask), load(call.beta + c, mask)),
            mask);
    });
  }
}

// dz = rstd (g - mean(g) - x̂ mean(g x̂)) with g = dy γ, x̂ the normalized row.
template <class T>
void norm_backward(const NormBackward<T>& call) {
  const auto width = static_cast<float>(call.width);
  float* scaled = call.scratch;
  for (int64_t row = 0; row < call.rows; ++row) {
    const RowDropout drop(call.mask, row);
    const T* dy = call.dy[row];
    const T* normalized = call.normalized[row];
    __m512 sum = _mm512_setzero_ps(), products = sum;
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 d = load(dy + c, mask), n = load(normalized + c, mask);
      const __m512 g = _mm512_mul_ps(d, load(call.gamma + c, mask));
      store(scaled + c, g, mask);
      sum = _mm512_add_ps(sum, g);
      products = _mm512_fmadd_ps(g, n, products);
      if (call.dgamma) {
        store(call.dgamma + c, _mm512_fmadd_ps(d, n, load(call.dgamma + c, mask)), mask);
      }
      if (call.dbeta) store(call.dbeta + c, _mm512_add_ps(d, load(call.dbeta + c, mask)), mask);
    });
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / width);
    const __m512 slope = _mm512_set1_ps(_mm512_reduce_add_ps(products) / width);
    const __m512 rstd = _mm512_set1_ps(call.rstd[row]);
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 g = _mm512_sub_ps(load(scaled + c, mask), mean);
      const __m512 dz = _mm512_mul_ps(rstd, _mm512_fnmadd_ps(load(normalized + c, mask), slope, g));
      store(call.dresidual[row] + c, dz, mask);
      if (call.dx) store(call.dx[row] + c, drop(dz, c), mask);
    });
  }
}

/// Φ(x), the normal distribution function, and e = exp(-x²/2). Abramowitz & Stegun 7.1.26,
/// absolute error below 1.5e-7.
inline __m512 normal_cdf(__m512 x, __m512& e) {
  const __m512 a = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678F));
  e = exponential(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(a, a)));
  const __m512 d = _mm512_fmadd_ps(a, _mm512_set1_ps(0.3275911F), _mm512_set1_ps(1.0F));
  __m512 t = _mm512_rcp14_ps(d);
  t = _mm512_mul_ps(t, _mm512_fnmadd_ps(d, t, _mm512_set1_ps(2.0F)));  // one step of Newton
  __m512 p = _mm512_set1_ps(1.061405429F);
  for (float c : {-1.453152027F, 1.421413741F, -0.284496736F, 0.254829592F})
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(c));
  const __m512 tail =
      _mm512_mul_ps(_mm512_mul_ps(_mm512_mul_ps(p, t), e), _mm512_set1_ps(0.5F));  // Φ(-|x|)
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_mask_mov_ps(_mm512_sub_ps(_mm512_set1_ps(1.0F), tail), negative, tail);
}

template <class T>
void gelu_forward(const T* x, T* y, int64_t count) {
  over(count, [&](int64_t i, __mmask16 mask) {
    const __m512 value = load(x + i, mask);
    __m512 e;
    store(y + i, _mm512_mul_ps(value, normal_cdf(value, e)), mask);
  });
}

template <class T>
void gelu_backward(const T* x, const T* dy, T* dx, int64_t count) {
  over(count, [&](int64_t i, __mmask16 mask) {
    const __m512 value = load(x + i, mask);
    __m512 e;
    const __m512 cdf = normal_cdf(value, e);
    const __m512 slope = _mm512_fmadd_ps(_mm512_mul_ps(value, e), _mm512_set1_ps(0.39894228F), cdf);
    store(dx + i, _mm512_mul_ps(load(dy + i, mask), slope), mask);
  });
}

}  // namespace
}  // namespace mtlora::backend::cpu
