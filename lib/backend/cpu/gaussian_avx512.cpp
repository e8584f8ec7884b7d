// Box and Muller's transform sixteen pairs at a time. Logarithm, sine and cosine are the
// polynomials of Moshier's Cephes (1989), logf, sinf and cosf.
#include "lib/backend/cpu/gaussian.h"

#if defined(__AVX512F__)
#  include "lib/backend/cpu/vector.h"

namespace mtlora::backend::cpu {
namespace {

__m512i constant(uint32_t x) {
  return _mm512_set1_epi32(static_cast<int>(x));
}
__m512 number(float x) {
  return _mm512_set1_ps(x);
}

// c[0] xⁿ + … + c[n]
template <size_t N>
__m512 polynomial(const float (&c)[N], __m512 x) {
  __m512 sum = number(c[0]);
  for (size_t i = 1; i < N; ++i) sum = _mm512_fmadd_ps(sum, x, number(c[i]));
  return sum;
}

struct Product {
  __m512i high, low;
};

Product multiply(__m512i a, uint32_t factor) {
  constexpr __mmask16 odd = 0xaaaa;
  const __m512i even_products = _mm512_mul_epu32(a, constant(factor));
  const __m512i odd_products = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), constant(factor));
  return {_mm512_mask_mov_epi32(_mm512_srli_epi64(even_products, 32), odd, odd_products),
          _mm512_mask_mov_epi32(even_products, odd, _mm512_slli_epi64(odd_products, 32))};
}

struct Words {
  __m512i w[4];
};

Words philox16(const GaussianCall& call, int64_t tile) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  __m512i c0 = _mm512_add_epi32(lane, constant(static_cast<uint32_t>(tile * gaussian_lanes)));
  __m512i c1 = _mm512_setzero_si512();
  __m512i c2 = constant(static_cast<uint32_t>(call.block));
  __m512i c3 = constant(static_cast<uint32_t>(call.block >> 32));
  auto k0 = static_cast<uint32_t>(call.key), k1 = static_cast<uint32_t>(call.key >> 32);
  for (int round = 0; round < 10; ++round) {
    const Product a = multiply(c0, 0xD2511F53U), b = multiply(c2, 0xCD9E8D57U);
    c0 = _mm512_xor_si512(_mm512_xor_si512(b.high, c1), constant(k0));
    c2 = _mm512_xor_si512(_mm512_xor_si512(a.high, c3), constant(k1));
    c1 = b.low;
    c3 = a.low;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {{c0, c1, c2, c3}};
}

// ln x for x in (0, 1]
__m512 logarithm(__m512 x) {
  __m512 e = _mm512_getexp_ps(x);
  __m512 m = _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
  const __mmask16 is_large = _mm512_cmp_ps_mask(m, number(1.41421356F), _CMP_GT_OQ);
  m = _mm512_mask_mul_ps(m, is_large, m, number(0.5F));
  e = _mm512_mask_add_ps(e, is_large, e, number(1));
  m = _mm512_sub_ps(m, number(1));
  const __m512 square = _mm512_mul_ps(m, m);
  __m512 sum = polynomial(
      {7.0376836292e-2F, -1.1514610310e-1F, 1.1676998740e-1F, -1.2420140846e-1F, 1.4249322787e-1F,
       -1.6668057665e-1F, 2.0000714765e-1F, -2.4999993993e-1F, 3.3333331174e-1F},
      m);
  sum = _mm512_mul_ps(_mm512_mul_ps(sum, m), square);
  sum = _mm512_fmadd_ps(e, number(-2.12194440e-4F), sum);
  sum = _mm512_fnmadd_ps(square, number(0.5F), sum);
  return _mm512_fmadd_ps(e, number(0.693359375F), _mm512_add_ps(m, sum));
}

struct SineCosine {
  __m512 sine, cosine;
};

// Of 2π turn / 2²⁴, 0 <= turn < 2²⁴.
SineCosine of_turn(__m512i turn) {
  // the nearest quarter, and what is left of it, within π/4
  const __m512i quarter = _mm512_srli_epi32(_mm512_add_epi32(turn, constant(1U << 21)), 22);
  const __m512i left = _mm512_sub_epi32(turn, _mm512_slli_epi32(quarter, 22));
  const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(left), number(6.28318531F * 0x1p-24F));
  const __m512 square = _mm512_mul_ps(x, x);
  __m512 sine = polynomial({-1.9515295891e-4F, 8.3321608736e-3F, -1.6666654611e-1F}, square);
  sine = _mm512_fmadd_ps(_mm512_mul_ps(sine, square), x, x);
  __m512 cosine =
      polynomial({2.443315711809948e-5F, -1.388731625493765e-3F, 4.166664568298827e-2F}, square);
  cosine = _mm512_fmadd_ps(cosine, _mm512_mul_ps(square, square),
                           _mm512_fnmadd_ps(square, number(0.5F), number(1)));
  const __mmask16 swaps = _mm512_test_epi32_mask(quarter, constant(1));
  // sin is negative from two quarters on, cos in quarters 1 and 2
  const auto sign = [](__m512i bits) { return _mm512_slli_epi32(bits, 30); };
  const __m512i of_sine = sign(_mm512_and_si512(quarter, constant(2)));
  const __m512i of_cosine =
      sign(_mm512_and_si512(_mm512_add_epi32(quarter, constant(1)), constant(2)));
  const auto signed_by = [](__m512 value, __m512i bit) {
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(value), bit));
  };
  return {signed_by(_mm512_mask_mov_ps(sine, swaps, cosine), of_sine),
          signed_by(_mm512_mask_mov_ps(cosine, swaps, sine), of_cosine)};
}

void place(const GaussianCall& call, int64_t pair, __m512i radius_bits, __m512i turn_bits) {
  const __mmask16 used = first(call.pairs - pair);
  const __m512 whole = _mm512_cvtepi32_ps(_mm512_srli_epi32(radius_bits, 1));
  const __m512 u = _mm512_mul_ps(_mm512_add_ps(whole, number(0.5F)), number(0x1p-31F));
  const __m512 radius = _mm512_sqrt_ps(_mm512_mul_ps(number(-2), logarithm(u)));
  const SineCosine at = of_turn(_mm512_srli_epi32(turn_bits, 8));
  _mm512_mask_storeu_ps(call.first + pair, used, _mm512_mul_ps(radius, at.cosine));
  _mm512_mask_storeu_ps(call.second + pair, used, _mm512_mul_ps(radius, at.sine));
}

}  // namespace

void gaussian_avx512(const GaussianCall& call) {
  for (int64_t tile = 0; tile * 2 * lanes < call.pairs; ++tile) {
    const Words words = philox16(call, tile);
    place(call, tile * 2 * lanes, words.w[0], words.w[1]);
    place(call, tile * 2 * lanes + lanes, words.w[2], words.w[3]);
  }
}

}  // namespace mtlora::backend::cpu
#else
// Never called where has_avx512() is false.
void mtlora::backend::cpu::gaussian_avx512(const GaussianCall&) {}
#endif
