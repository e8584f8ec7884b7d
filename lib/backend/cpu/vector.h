// Sixteen floats at a time: loads, stores, exp, dropout, transposition. Only for the kernels'
// compilations: everything has internal linkage, because each is compiled for other instructions.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "lib/backend/cpu/kernels.h"
#include "lib/backend/dropout.h"

namespace mtlora::backend::cpu {
namespace {

constexpr int64_t lanes = 16;

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
inline int64_t rounded_up(int64_t count) {
  return (count + lanes - 1) / lanes * lanes;
}

/// The first `count` lanes; all where count is 16 or more, none where it is 0 or less.
inline __mmask16 first(int64_t count) {
  if (count >= lanes) return 0xffff;
  return count <= 0 ? __mmask16{0} : static_cast<__mmask16>((1U << count) - 1U);
}

/// Runs f(column, lanes in use) over `width` columns.
template <class F>
inline void over(int64_t width, F&& f) {
  int64_t c = 0;
  for (; c + lanes <= width; c += lanes) f(c, __mmask16{0xffff});
  if (c < width) f(c, first(width - c));
}

inline __m512 from_bf16(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

/// Rounds to the nearest bf16, ties to even.
inline __m256i to_bf16(__m512 x) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
#else
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
#endif
}

inline __m512 load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline __m512 load(const Bf16* p) {
  return from_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline __m512 load(const float* p, __mmask16 mask) {
  return _mm512_maskz_loadu_ps(mask, p);
}
inline __m512 load(const Bf16* p, __mmask16 mask) {
  return from_bf16(_mm256_maskz_loadu_epi16(mask, p));
}
inline void store(float* p, __m512 x) {
  _mm512_storeu_ps(p, x);
}
inline void store(Bf16* p, __m512 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bf16(x));
}
inline void store(float* p, __m512 x, __mmask16 mask) {
  _mm512_mask_storeu_ps(p, mask, x);
}
inline void store(Bf16* p, __m512 x, __mmask16 mask) {
  _mm256_mask_storeu_epi16(p, mask, to_bf16(x));
}

/// exp(x) for x <= 88, relative error below 2e-7; 0 below -87; a NaN stays one.
inline __m512 exponential(__m512 x) {
  const __mmask16 counts = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0F), _CMP_NLT_UQ);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504F)), 0);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752F), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6F), r);
  __m512 p = _mm512_set1_ps(1.0F / 720);
  for (float c : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F})
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  return _mm512_maskz_scalef_ps(counts, p, n);
}

/// The end of the hash of lib/backend/dropout.h: x are spread channels, mixed with `before`.
inline __mmask16 mixed_is_kept(__m512i x, __m512i between, uint32_t threshold) {
  const auto constant = [](uint32_t c) { return _mm512_set1_epi32(static_cast<int>(c)); };
  const auto fold = [](__m512i v, unsigned shift) {
    return _mm512_xor_si512(v, _mm512_srli_epi32(v, shift));
  };
  x = _mm512_xor_si512(_mm512_mullo_epi32(fold(x, 15), constant(0x85ebca6bU)), between);
  x = fold(_mm512_mullo_epi32(fold(x, 13), constant(0xc2b2ae35U)), 16);
  return _mm512_cmpge_epu32_mask(x, constant(threshold));
}

/// Which of the channels channel .. channel + 15 of a row are kept.
inline __mmask16 kept(MaskRow row, int64_t channel, uint32_t threshold) {
  const auto constant = [](uint32_t c) { return _mm512_set1_epi32(static_cast<int>(c)); };
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i x = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(channel)));
  const __m512i spread = _mm512_mullo_epi32(x, constant(0x9e3779b1U));
  return mixed_is_kept(_mm512_xor_si512(spread, constant(row.before)), constant(row.between),
                       threshold);
}

/// Which of one channel of 16 rows are kept, whose masks are `before` and `between`.
inline __mmask16 kept_rows(__m512i before, __m512i between, int64_t channel, uint32_t threshold) {
  const auto constant = [](uint32_t c) { return _mm512_set1_epi32(static_cast<int>(c)); };
  const __m512i spread = constant(static_cast<uint32_t>(channel) * 0x9e3779b1U);
  return mixed_is_kept(_mm512_xor_si512(spread, before), between, threshold);
}

/// The dropout of one row.
class RowDropout {
 public:
  RowDropout(const Mask& mask, int64_t row)
      : active_(mask.rows != nullptr), threshold_(mask.threshold), scale_(mask.scale) {
    if (active_) row_ = mask_row(mask.key, mask.rows[row]);
  }
  __mmask16 keeps(int64_t channel) const {
    return active_ ? kept(row_, channel, threshold_) : __mmask16{0xffff};
  }
  __m512 operator()(__m512 x, int64_t channel) const {
    return active_ ? _mm512_maskz_mul_ps(kept(row_, channel, threshold_), x, _mm512_set1_ps(scale_))
                   : x;
  }

 private:
  bool active_;
  uint32_t threshold_;
  float scale_;
  MaskRow row_{0, 0};
};

/// Transposes 16 rows of 16 words in place.
inline void transpose(__m512i (&r)[16]) {
  __m512i t[16], u[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(u[i], u[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(u[i], u[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
  }
}

}  // namespace
}  // namespace mtlora::backend::cpu
