// Matrix product with a packed right side: c = a · B + bias. B lies in panels of 32 columns; a
// block of 12 rows by one panel is summed in 24 registers over the whole depth, every element of
// `a` broadcast. bf16 multiplies pairs along the depth and sums in fp32.
#pragma once

#include <type_traits>

#include "lib/backend/cpu/vector.h"

namespace mtlora::backend::cpu {
namespace {

/// How 32 bits of an operand (one float, or two bf16 along the depth) are multiplied.
template <class T>
struct Unit;

template <>
struct Unit<float> {
  static constexpr int64_t depth = 1;
  static __m512 broadcast(const float* a) { return _mm512_set1_ps(*a); }
  static __m512 add(__m512 sum, __m512 a, __m512 b) { return _mm512_fmadd_ps(a, b, sum); }
};

template <>
struct Unit<Bf16> {
  static constexpr int64_t depth = 2;
  static __m512 broadcast(const Bf16* a) {
    int pair = 0;
    std::memcpy(&pair, a, sizeof pair);
    return _mm512_castsi512_ps(_mm512_set1_epi32(pair));
  }
  static __m512 add(__m512 sum, __m512 a, __m512 b) {
#if defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#else
    const auto low = [](__m512 x) {
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 16));
    };
    const auto high = [](__m512 x) {
      return _mm512_castsi512_ps(
          _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(-65536)));
    };
    return _mm512_fmadd_ps(high(a), high(b), _mm512_fmadd_ps(low(a), low(b), sum));
#endif
  }
};

template <int rows, int vectors>
inline void clear(__m512 (&sum)[rows][vectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[r][v] = _mm512_setzero_ps();
}

/// sum[r][·] += Σ over units u of a(r, u) · b(u, ·). Strides are in elements of T.
template <class T, int rows, int vectors>
inline void multiply(__m512 (&sum)[rows][vectors], const T* a, int64_t a_row, int64_t a_unit,
                     const T* b, int64_t b_unit, int64_t units) {
  constexpr int64_t step = lanes * Unit<T>::depth;
  for (int64_t u = 0; u < units; ++u, a += a_unit, b += b_unit) {
    __m512 column[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) column[v] = _mm512_loadu_ps(b + v * step);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const __m512 value = Unit<T>::broadcast(a + r * a_row);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[r][v] = Unit<T>::add(sum[r][v], value, column[v]);
    }
  }
}

/// Calls f with the number of rows, 1 .. most, as a constant.
template <int most, class F>
inline void with_rows(int64_t rows, F&& f) {
  if constexpr (most == 1) {
    f(std::integral_constant<int, 1>{});
  } else if (rows >= most) {
    f(std::integral_constant<int, most>{});
  } else {
    with_rows<most - 1>(rows, f);
  }
}

constexpr int gemm_rows = 12;

template <class T, class Out, int rows, int vectors>
void gemm_block(const GemmCall<T, Out>& call, int64_t row, int64_t column) {
  constexpr int64_t pair = Unit<T>::depth;
  const T* a = call.a + row * call.a_row;
  const T* b = call.packed + packed_offset(call.depth, column);
  const int64_t units = call.depth / pair, b_unit = vectors * lanes * pair;
  __m512 sum[rows][vectors];
  clear(sum);
  multiply<T>(sum, a, call.a_row, call.a_depth * pair, b, b_unit, units);
  if (units * pair < call.depth) {  // the last element of an odd depth
    T last[rows][2] = {};
    for (int r = 0; r < rows; ++r) last[r][0] = a[r * call.a_row + units * pair];
    multiply<T>(sum, &last[0][0], 2, 0, b + units * b_unit, 0, 1);
  }
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    const int64_t c = column + v * lanes;
    const __mmask16 mask = first(call.columns - c);
    const __m512 bias = call.bias ? load(call.bias + c, mask) : _mm512_setzero_ps();
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      Out* y = call.c[row + r] + c;
      __m512 value = _mm512_add_ps(sum[r][v], bias);
      if (call.accumulate) value = _mm512_add_ps(value, load(y, mask));
      store(y, value, mask);
    }
  }
}

template <class T, class Out>
void gemm(const GemmCall<T, Out>& call) {
  for (int64_t column = 0; column < call.columns; column += panel_columns)
    for (int64_t row = 0; row < call.rows; row += gemm_rows)
      with_rows<gemm_rows>(call.rows - row, [&](auto rows) {
        if (call.columns - column > lanes)
          gemm_block<T, Out, rows.value, 2>(call, row, column);
        else
          gemm_block<T, Out, rows.value, 1>(call, row, column);
      });
}

inline __m512i pair_up(__m256i low, __m256i high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

/// 16 units along the depth, of which `left` elements exist.
template <class T, class Source>
inline __m512i along_depth(const Source* p, int64_t left) {
  if constexpr (std::is_same_v<T, float>) {
    return _mm512_castps_si512(load(p, first(left)));
  } else if constexpr (std::is_same_v<Source, float>) {
    const __m256i low = to_bf16(load(p, first(left)));
    const __m256i high = to_bf16(load(p + lanes, first(left - lanes)));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  } else {
    const auto mask =
        static_cast<__mmask32>(first(left)) | static_cast<__mmask32>(first(left - lanes)) << lanes;
    return _mm512_maskz_loadu_epi16(mask, p);
  }
}

/// One unit of each of 16 neighbouring columns.
template <class T, class Source>
inline __m512i across_columns(const Source* p, int64_t depth_stride, int64_t left, __mmask16 mask) {
  if constexpr (std::is_same_v<T, float>) {
    return _mm512_castps_si512(load(p, mask));
  } else {
    const __m512 low = load(p, mask);
    const __m512 high = left > 1 ? load(p + depth_stride, mask) : _mm512_setzero_ps();
    return pair_up(to_bf16(low), to_bf16(high));
  }
}

/// Packs 16 columns; `packed` points at their place in the panel's first unit.
template <class T, class Source>
void pack_columns(const PackCall<T, Source>& call, int64_t column, T* packed, int64_t unit_stride) {
  constexpr int64_t pair = Unit<T>::depth;
  const int64_t units = (call.depth + pair - 1) / pair;
  const int64_t columns = smaller(lanes, call.columns - column);
  const Source* source = call.source + column * call.column_stride;
  if (call.column_stride == 1) {
    for (int64_t u = 0; u < units; ++u) {
      const Source* p = source + u * pair * call.depth_stride;
      const __m512i unit =
          across_columns<T>(p, call.depth_stride, call.depth - u * pair, first(columns));
      _mm512_storeu_si512(packed + u * unit_stride, unit);
    }
    return;
  }
  for (int64_t u = 0; u < units; u += lanes) {
    __m512i words[16];
    for (int64_t c = 0; c < lanes; ++c)
      words[c] = c < columns ? along_depth<T>(source + c * call.column_stride + u * pair,
                                              call.depth - u * pair)
                             : _mm512_setzero_si512();
    transpose(words);
    for (int64_t i = 0; i < smaller(lanes, units - u); ++i)
      _mm512_storeu_si512(packed + (u + i) * unit_stride, words[i]);
  }
}

template <class T, class Source>
void pack(const PackCall<T, Source>& call) {
  constexpr int64_t pair = Unit<T>::depth;
  for (int64_t column = 0; column < call.columns; column += panel_columns) {
    T* panel = call.packed + packed_offset(call.depth, column);
    const int64_t width = smaller(panel_columns, rounded_up(call.columns - column));
    for (int64_t c = 0; c < width; c += lanes)
      pack_columns(call, column + c, panel + c * pair, width * pair);
  }
}

}  // namespace
}  // namespace mtlora::backend::cpu
