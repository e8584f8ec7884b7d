// Kernels of rows and elements under decoders: rotary embedding, pre-norms, SwiGLU, tanh GELU.
#pragma once

#include <cmath>

#include "lib/backend/cpu/decoder_kernels.h"
#include "lib/backend/cpu/vector.h"

namespace mtlora::backend::cpu {
namespace {

template <class T>
void rotate(const RotateCall<T>& call) {
  const int64_t head = 2 * call.half, passed = call.columns - call.rotated * head;
  const __m512 sign = _mm512_set1_ps(call.backwards ? -1.0F : 1.0F);
  for (int64_t row = 0; row < call.rows; ++row) {
    const float* cosines = call.cos + call.positions[row] * call.half;
    const float* sines = call.sin + call.positions[row] * call.half;
    const T* x = call.x[row];
    T* y = call.y[row];
    over(call.half, [&](int64_t c, __mmask16 mask) {
      const __m512 cos = load(cosines + c, mask), sin = _mm512_mul_ps(load(sines + c, mask), sign);
      for (int64_t at = c; at < call.rotated * head; at += head) {
        const __m512 low = load(x + at, mask), high = load(x + at + call.half, mask);
        store(y + at, _mm512_fmsub_ps(low, cos, _mm512_mul_ps(high, sin)), mask);
        store(y + at + call.half, _mm512_fmadd_ps(high, cos, _mm512_mul_ps(low, sin)), mask);
      }
    });
    std::memcpy(y + call.rotated * head, x + call.rotated * head,
                static_cast<size_t>(passed) * sizeof(T));
  }
}

/// What is left of fp32 values in an element type.
inline __m512 rounded(__m512 x, const float*) {
  return x;
}
inline __m512 rounded(__m512 x, const Bf16*) {
  return from_bf16(to_bf16(x));
}

template <class T>
void pre_norm_forward(const PreNormForward<T>& call) {
  const auto width = static_cast<float>(call.width);
  float* sums = call.scratch;
  for (int64_t row = 0; row < call.rows; ++row) {
    const RowDropout drop(call.mask, row);
    const T* x = call.x[row];
    __m512 total = _mm512_setzero_ps(), squares = total;
    over(call.width, [&](int64_t c, __mmask16 mask) {
      __m512 value = load(x + c, mask);
      if (call.residual) {
        value = _mm512_add_ps(drop(value, c), load(call.residual[row] + c, mask));
        store(call.sum[row] + c, value, mask);
        value = rounded(value, x);
      }
      total = _mm512_add_ps(total, value);
      store(sums + c, value, mask);
    });
    const float mean = call.beta ? _mm512_reduce_add_ps(total) / width : 0.0F;
    const __m512 centre = _mm512_set1_ps(mean);
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 centred = _mm512_maskz_sub_ps(mask, load(sums + c, mask), centre);
      squares = _mm512_fmadd_ps(centred, centred, squares);
    });
    const float rstd = 1.0F / std::sqrt(_mm512_reduce_add_ps(squares) / width + call.eps);
    if (call.statistics) {
      call.statistics[2 * row] = mean;
      call.statistics[2 * row + 1] = rstd;
    }
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 normalized =
          _mm512_mul_ps(_mm512_sub_ps(load(sums + c, mask), centre), _mm512_set1_ps(rstd));
      const __m512 beta = call.beta ? load(call.beta + c, mask) : _mm512_setzero_ps();
      store(call.normed[row] + c, _mm512_fmadd_ps(normalized, load(call.gamma + c, mask), beta),
            mask);
    });
  }
}

// dz = rstd (g - mean(g) - x̂ mean(g x̂)) + dsum with g = dy γ, x̂ the normalized row; RMSNorm
// subtracts no mean.
template <class T>
void pre_norm_backward(const PreNormBackward<T>& call) {
  const auto width = static_cast<float>(call.width);
  float* scaled = call.scratch;
  float* normalized = call.scratch + call.width;
  for (int64_t row = 0; row < call.rows; ++row) {
    const RowDropout drop(call.mask, row);
    const __m512 centre = _mm512_set1_ps(call.statistics[2 * row]);
    const __m512 rstd = _mm512_set1_ps(call.statistics[2 * row + 1]);
    __m512 total = _mm512_setzero_ps(), products = total;
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 d = load(call.dnormed[row] + c, mask);
      const __m512 n = _mm512_mul_ps(_mm512_sub_ps(load(call.sum[row] + c, mask), centre), rstd);
      const __m512 g = _mm512_mul_ps(d, load(call.gamma + c, mask));
      store(scaled + c, g, mask);
      store(normalized + c, n, mask);
      total = _mm512_add_ps(total, g);
      products = _mm512_fmadd_ps(g, n, products);
      if (call.dgamma)
        store(call.dgamma + c, _mm512_fmadd_ps(d, n, load(call.dgamma + c, mask)), mask);
      if (call.dbeta) store(call.dbeta + c, _mm512_add_ps(d, load(call.dbeta + c, mask)), mask);
    });
    const __m512 mean = _mm512_set1_ps(call.centred ? _mm512_reduce_add_ps(total) / width : 0.0F);
    const __m512 slope = _mm512_set1_ps(_mm512_reduce_add_ps(products) / width);
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 g = _mm512_sub_ps(load(scaled + c, mask), mean);
      const __m512 z = _mm512_fnmadd_ps(load(normalized + c, mask), slope, g);
      const __m512 dsum = call.dsum ? load(call.dsum[row] + c, mask) : _mm512_setzero_ps();
      const __m512 dz = _mm512_fmadd_ps(rstd, z, dsum);
      store(call.dresidual[row] + c, dz, mask);
      if (call.dx) store(call.dx[row] + c, drop(dz, c), mask);
    });
  }
}

/// 1 / (1 + exp(-x)).
inline __m512 sigmoid(__m512 x) {
  const __m512 e = exponential(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_abs_ps(x)));
  const __m512 d = _mm512_add_ps(e, _mm512_set1_ps(1.0F));
  __m512 t = _mm512_rcp14_ps(d);
  t = _mm512_mul_ps(t, _mm512_fnmadd_ps(d, t, _mm512_set1_ps(2.0F)));  // one step of Newton
  return _mm512_mask_mul_ps(t, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), e, t);
}

template <class T>
void swiglu_forward(const SwigluCall<T>& call) {
  for (int64_t row = 0; row < call.rows; ++row) {
    const T* gates = call.x[row];
    over(call.inner, [&](int64_t c, __mmask16 mask) {
      const __m512 gate = load(gates + c, mask), up = load(gates + call.inner + c, mask);
      store(call.y[row] + c, _mm512_mul_ps(_mm512_mul_ps(gate, sigmoid(gate)), up), mask);
    });
  }
}

// silu' = σ (1 + x (1 - σ)).
template <class T>
void swiglu_backward(const SwigluCall<T>& call) {
  const __m512 one = _mm512_set1_ps(1.0F);
  for (int64_t row = 0; row < call.rows; ++row) {
    const T* gates = call.x[row];
    T* dx = call.dx[row];
    over(call.inner, [&](int64_t c, __mmask16 mask) {
      const __m512 gate = load(gates + c, mask), up = load(gates + call.inner + c, mask);
      const __m512 d = load(call.dy[row] + c, mask), s = sigmoid(gate);
      const __m512 silu = _mm512_mul_ps(gate, s);
      const __m512 slope = _mm512_fmadd_ps(silu, _mm512_sub_ps(one, s), s);
      store(dx + c, _mm512_mul_ps(_mm512_mul_ps(d, up), slope), mask);
      store(dx + call.inner + c, _mm512_mul_ps(d, silu), mask);
    });
  }
}

// (1 + tanh(u)) / 2 = σ(2u).
constexpr float gelu_linear = 1.5957691216F;  // 2 √(2/π)
constexpr float gelu_cubic = 0.044715F;

/// x where the curve still bends; beyond, σ is 0 or 1 and the square of x could overflow.
inline __m512 within_bend(__m512 x) {
  return _mm512_min_ps(_mm512_set1_ps(20.0F), _mm512_max_ps(_mm512_set1_ps(-20.0F), x));
}

inline __m512 gelu_tanh_gate(__m512 x) {
  const __m512 bent = within_bend(x);
  const __m512 square = _mm512_mul_ps(bent, bent);
  const __m512 factor = _mm512_fmadd_ps(square, _mm512_set1_ps(gelu_linear * gelu_cubic),
                                        _mm512_set1_ps(gelu_linear));
  return sigmoid(_mm512_mul_ps(bent, factor));
}

template <class T>
void gelu_tanh_forward(const T* x, T* y, int64_t count) {
  over(count, [&](int64_t i, __mmask16 mask) {
    const __m512 value = load(x + i, mask);
    store(y + i, _mm512_mul_ps(value, gelu_tanh_gate(value)), mask);
  });
}

// y' = σ + x σ (1 - σ) (2u)'.
template <class T>
void gelu_tanh_backward(const T* x, const T* dy, T* dx, int64_t count) {
  const __m512 one = _mm512_set1_ps(1.0F);
  over(count, [&](int64_t i, __mmask16 mask) {
    const __m512 value = load(x + i, mask), s = gelu_tanh_gate(value), bent = within_bend(value);
    const __m512 rise =
        _mm512_fmadd_ps(_mm512_mul_ps(bent, bent), _mm512_set1_ps(3 * gelu_linear * gelu_cubic),
                        _mm512_set1_ps(gelu_linear));
    const __m512 bend = _mm512_mul_ps(_mm512_mul_ps(bent, s), _mm512_sub_ps(one, s));
    store(dx + i, _mm512_mul_ps(load(dy + i, mask), _mm512_fmadd_ps(bend, rise, s)), mask);
  });
}

}  // namespace
}  // namespace mtlora::backend::cpu
