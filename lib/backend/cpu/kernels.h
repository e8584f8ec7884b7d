// The CPU kernels: plain C++ on pointers, one thread, no state, no allocation. Rows are strided,
// columns contiguous. Statistics, softmax and sums are fp32 whatever the element type.
#pragma once

#include <cstdint>

namespace mtlora::backend::cpu {

/// A bfloat16: the upper half of a float.
struct Bf16 {
  uint16_t bits;
};

/// Rows of elements; `stride` elements from one row to the next.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t stride = 0;
  T* operator[](int64_t row) const { return data + row * stride; }
  Rows from(int64_t row, int64_t column = 0) const {
    return {data + row * stride + column, stride};
  }
  explicit operator bool() const { return data != nullptr; }
};

/// Dropout of rows (lib/backend/dropout.h); no dropout where `rows` is null.
struct Mask {
  uint64_t key = 0;
  const int64_t* rows = nullptr;  ///< the identity of each row
  uint32_t threshold = 0;
  float scale = 1;  ///< 1 / (1 - p)
  Mask from(int64_t row) const { return {key, rows ? rows + row : nullptr, threshold, scale}; }
};

/// y = x with dropout, or y += it.
template <class T>
struct DropoutCall {
  Rows<const T> x;
  Rows<T> y;
  int64_t rows, width;
  Mask mask;
  bool accumulate;
};

/// y = LayerNorm(residual + dropout(x)); residual may be null, and so may `normalized` and `rstd`,
/// which the backward pass needs.
template <class T>
struct NormForward {
  Rows<const T> x, residual;
  const float *gamma, *beta;
  float eps;
  Rows<T> y, normalized;
  float* rstd;
  int64_t rows, width;
  Mask mask;
  float* scratch;  ///< [width]
};

/// Gradients of NormForward; dx (through the dropout) may be null, and dgamma, dbeta, which are
/// added to, too.
template <class T>
struct NormBackward {
  Rows<const T> dy, normalized;
  const float *rstd, *gamma;
  Rows<T> dresidual, dx;
  float *dgamma, *dbeta;
  int64_t rows, width;
  Mask mask;
  float* scratch;  ///< [width]
};

/// All heads of one sequence: out = dropout(softmax(scale · q kᵀ)) v for `queries` rows of q
/// against `keys` rows of k and v. The row of a query is its row in `mask`.
template <class T>
struct AttentionForward {
  Rows<const T> q, k, v;
  Rows<T> out;
  float* statistics;  ///< [queries, heads, 2]: the largest score and 1 / the sum of exponentials
  int64_t queries, keys, heads, head;
  float scale;
  Mask mask;
  float* scratch;  ///< attention_scratch(keys, head) floats
};

/// Gradients of AttentionForward; probabilities are computed anew.
template <class T>
struct AttentionBackward {
  Rows<const T> q, k, v, dout;
  Rows<T> dq, dk, dv;
  const float* statistics;
  int64_t queries, keys, heads, head;
  float scale;
  Mask mask;
  float* scratch;
};

/// Query rows that attention works on at a time.
constexpr int64_t attention_block = 32;

/// The same of matrix tiles.
constexpr int64_t tile_queries = 128;

constexpr int64_t attention_scratch(int64_t keys, int64_t head) {
  const int64_t padded = (keys + 31) / 32 * 32;
  const int64_t of_rows = 5 * padded * head + attention_block * (2 * padded + 2 * head);
  const int64_t of_tiles = 3 * padded * head + tile_queries * (4 * padded + 2 * head) + 256;
  return of_rows > of_tiles ? of_rows : of_tiles;
}

/// What disentangled attention of a batch reads: score(i, j) = scale (q_i·k_j +
/// q_i·position_key[row_of[i - j]] + k_j·position_query[row_of[i - j]]) between places of a
/// sequence.
template <class T>
struct DisentangledInputs {
  Rows<const T> q, k, v;
  Rows<const T> position_query, position_key;  ///< either may be null: no such term
  const int32_t* row_of;   ///< of distance 0; valid for every |distance| < longest
  const int32_t* offsets;  ///< [sequences + 1]: where the keys of each begin
  int64_t sequences, longest;
  bool pooled;  ///< row s of q is the first query of sequence s; else q has a row for every key
  int64_t heads, head;
  float scale;
  Mask mask;       ///< of the rows of q
  float* scratch;  ///< disentangled_scratch(longest, head) floats
};

/// out = dropout(softmax(score)) v of every sequence.
template <class T>
struct DisentangledForward {
  DisentangledInputs<T> in;
  Rows<T> out;
  float* statistics;  ///< [rows of q, heads, 2]: the largest score and 1 / the sum of exponentials
};

/// Gradients of DisentangledForward; probabilities are computed anew.
template <class T>
struct DisentangledBackward {
  DisentangledInputs<T> in;
  Rows<const T> dout;
  Rows<T> dq, dk, dv;
  Rows<float> dposition_query, dposition_key;  ///< added to; either may be null
  const float* statistics;
};

/// Rows of a product with position rows that are shifted together.
constexpr int64_t shifted_rows = 16;

/// Distances between the places of sequences up to `longest` long, and room for whole vectors.
constexpr int64_t distance_columns(int64_t longest) {
  return (2 * longest + 2 * shifted_rows - 2) / 16 * 16;
}

constexpr int64_t disentangled_scratch(int64_t longest, int64_t head) {
  const int64_t padded = (longest + 15) / 16 * 16;
  const int64_t tables = 2 * 3 * distance_columns(longest) * head;
  return tables + 9 * padded * head + 2 * longest * padded + shifted_rows * (padded + 32);
}

/// Columns of a packed matrix that lie together.
constexpr int64_t panel_columns = 32;

/// Elements of a packed [depth, columns] matrix: columns rounded up to 16, depth to a whole pair.
constexpr int64_t packed_size(int64_t depth, int64_t columns) {
  return (columns + 15) / 16 * 16 * ((depth + 1) / 2 * 2);
}

/// Where the panel that begins at `column` (a multiple of panel_columns) begins in a packed matrix.
constexpr int64_t packed_offset(int64_t depth, int64_t column) {
  return column * ((depth + 1) / 2 * 2);
}

/// Packs B [depth, columns], of which one of the two strides is 1, into panels: for each panel, its
/// rows of `panel_columns` one after the other (bf16: pairs of rows, interleaved).
template <class T, class Source>
struct PackCall {
  const Source* source;
  int64_t depth_stride, column_stride;
  int64_t depth, columns;
  T* packed;
};

/// c = a · B + bias, or c += a · B; a is [rows, depth]. For float, a may have any stride of depth;
/// for bf16 it is 1.
template <class T, class Out>
struct GemmCall {
  const T* a;
  int64_t a_row, a_depth;
  const T* packed;
  Rows<Out> c;
  int64_t rows, columns, depth;
  const float* bias;
  bool accumulate;
};

/// All kernels of one element type.
template <class T>
struct Kernels {
  void (*dropout)(const DropoutCall<T>&);
  void (*norm_forward)(const NormForward<T>&);
  void (*norm_backward)(const NormBackward<T>&);
  void (*gelu_forward)(const T* x, T* y, int64_t count);
  void (*gelu_backward)(const T* x, const T* dy, T* dx, int64_t count);
  void (*attention_forward)(const AttentionForward<T>&);
  void (*attention_backward)(const AttentionBackward<T>&);
  void (*disentangled_forward)(const DisentangledForward<T>&);
  void (*disentangled_backward)(const DisentangledBackward<T>&);
  void (*pack)(const PackCall<T, T>&);
  void (*pack_float)(const PackCall<T, float>&);
  void (*gemm)(const GemmCall<T, T>&);
  void (*gemm_float)(const GemmCall<T, float>&);
};

/// The kernels of an element type for this CPU, which must have AVX-512.
template <class T>
const Kernels<T>& kernels();

// The compilations among which kernels() chooses.
extern const Kernels<float> float_avx512;
extern const Kernels<Bf16> bf16_avx512;      ///< rounding and products of bf16 are emulated
extern const Kernels<Bf16> bf16_avx512bf16;  ///< by instructions of AVX512_BF16
Kernels<Bf16> with_tiles(Kernels<Bf16>);     ///< products by AMX_BF16, the rest as it was

}  // namespace mtlora::backend::cpu
