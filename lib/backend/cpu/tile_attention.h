// Attention of one sequence in bf16 with its products by matrix tiles (tile_gemm.h), head by head;
// probabilities and their gradients are rounded to bf16 for them, as flash attention does (Dao et
// al. 2022, arXiv 2205.14135), all sums are fp32. The backward pass works on the transposes
// [keys, queries], so that what is multiplied next lies as the products want it.
#pragma once

#include "lib/backend/cpu/attention.h"
#include "lib/backend/cpu/tile_gemm.h"

namespace mtlora::backend::cpu {
namespace {

/// Below these sizes attention.h is faster: a tile would be filled in part.
constexpr int64_t fewest_tile_queries = 32, fewest_tile_keys = 48;

/// Hands out parts of the scratch memory, each at a cache line where the first is.
class TileScratch {
 public:
  explicit TileScratch(float* memory) : next_(memory) {}
  float* floats(int64_t count) {
    float* taken = next_;
    next_ += rounded_up(count);
    return taken;
  }
  Bf16* halves(int64_t count) { return reinterpret_cast<Bf16*>(floats((count + 1) / 2)); }

 private:
  float* next_;
};

/// x [rows, columns] as the right side of a product with its transpose: [columns, rows].
inline void pack_transposed(Rows<const Bf16> x, int64_t rows, int64_t columns, Bf16* packed) {
  pack<Bf16, Bf16>({x.data, 1, x.stride, columns, rows, packed});
}
/// The same of x itself.
inline void pack_rows(Rows<const Bf16> x, int64_t rows, int64_t columns, Bf16* packed) {
  pack<Bf16, Bf16>({x.data, x.stride, 1, rows, columns, packed});
}

/// y [rows, columns] = a [rows, depth] · packed, or y += it.
template <class Out>
void tile_product(Rows<const Bf16> a, int64_t rows, int64_t depth, const Bf16* packed, Rows<Out> y,
                  int64_t columns, bool accumulate = false) {
  tile_gemm<Out>({a.data, a.stride, 1, packed, y, rows, columns, depth, nullptr, accumulate});
}

inline void tile_forward_head(const AttentionForward<Bf16>& call, int64_t h) {
  const int64_t head = call.head, keys = call.keys, padded = rounded_up(keys), at = h * head;
  TileScratch scratch(call.scratch);
  Bf16* k = scratch.halves(packed_size(head, keys));
  Bf16* v = scratch.halves(packed_size(keys, head));
  const Rows<float> scores{scratch.floats(tile_queries * padded), padded};
  const Rows<Bf16> probabilities{scratch.halves(tile_queries * padded), padded};
  pack_transposed(call.k.from(0, at), keys, head, k);
  pack_rows(call.v.from(0, at), keys, head, v);
  Mask mask = call.mask;
  mask.key = head_key(mask.key, h);
  for (int64_t i = 0; i < call.queries; i += tile_queries) {
    const int64_t rows = smaller(tile_queries, call.queries - i);
    tile_product(call.q.from(i, at), rows, head, k, scores, keys);
    for (int64_t r = 0; r < rows; ++r)
      probabilities_of(scores[r], keys, padded, call.scale,
                       call.statistics + ((i + r) * call.heads + h) * 2, RowDropout(mask, i + r),
                       probabilities[r]);
    tile_product<Bf16>({probabilities.data, padded}, rows, keys, v, call.out.from(i, at), head);
  }
}

inline void tile_attention_forward(const AttentionForward<Bf16>& call) {
  if (call.queries < fewest_tile_queries || call.keys < fewest_tile_keys)
    return attention_forward<Bf16>(call);
  for (int64_t h = 0; h < call.heads; ++h) tile_forward_head(call, h);
}

/// What 16 queries of a block have of their own, a lane each.
struct QueryLanes {
  __m512 largest, inverse, mean;
  __m512i before, between;  // of their rows' masks (lib/backend/dropout.h)
  __mmask16 used;
};

/// The queries of a block, by sixteens.
class QueryBlock {
 public:
  QueryBlock(const AttentionBackward<Bf16>& call, int64_t h, int64_t begin, int64_t rows)
      : threshold_(call.mask.threshold),
        vectors_((rows + lanes - 1) / lanes),
        drops_(call.mask.rows != nullptr),
        scale_(_mm512_set1_ps(call.mask.scale)) {
    const uint64_t key = head_key(call.mask.key, h);
    for (int64_t v = 0; v < vectors_; ++v) {
      alignas(64) float largest[lanes] = {}, inverse[lanes] = {};
      alignas(64) uint32_t before[lanes] = {}, between[lanes] = {};
      const int64_t first_row = begin + v * lanes;
      for (int64_t r = 0; r < smaller(lanes, rows - v * lanes); ++r) {
        const float* statistics = call.statistics + ((first_row + r) * call.heads + h) * 2;
        largest[r] = statistics[0];
        inverse[r] = statistics[1];
        if (!drops_) continue;
        const MaskRow row = mask_row(key, call.mask.rows[first_row + r]);
        before[r] = row.before;
        between[r] = row.between;
      }
      lanes_[v] = {_mm512_load_ps(largest),   _mm512_load_ps(inverse),    _mm512_setzero_ps(),
                   _mm512_load_si512(before), _mm512_load_si512(between), first(rows - v * lanes)};
    }
  }

  int64_t vectors() const { return vectors_; }
  QueryLanes& operator[](int64_t v) { return lanes_[v]; }

  /// Dropout of 16 queries' values for one key.
  __m512 drop(const QueryLanes& q, __m512 x, int64_t key) const {
    if (!drops_) return x;
    return _mm512_maskz_mul_ps(kept_rows(q.before, q.between, key, threshold_), x, scale_);
  }

 private:
  QueryLanes lanes_[tile_queries / lanes];
  uint32_t threshold_;
  int64_t vectors_;
  bool drops_;
  __m512 scale_;
};

/// One head of the backward pass. In the scratch memory, by blocks of queries: the transposes of
/// scores and probabilities, of their gradients, and both as bf16.
class TileBackwardHead {
 public:
  TileBackwardHead(const AttentionBackward<Bf16>& call, int64_t h)
      : call_(call), h_(h), at_(h * call.head), scratch_(call.scratch) {
    const int64_t head = call.head, keys = call.keys, queries = tile_queries;
    k_transposed_ = {scratch_.halves(head * rounded_up(keys)), rounded_up(keys)};
    dk_ = {scratch_.floats(keys * head), head};
    dv_ = {scratch_.floats(keys * head), head};
    scores_ = {scratch_.floats(keys * queries), queries};
    gradient_ = {scratch_.floats(keys * queries), queries};
    probabilities_ = {scratch_.halves(keys * queries), queries};
    score_gradient_ = {scratch_.halves(keys * queries), queries};
    packed_gradient_ = scratch_.halves(packed_size(keys, queries));
    packed_ = scratch_.halves(packed_size(head, queries));
    dq_ = {scratch_.floats(head * queries), queries};
  }

  void run() {
    transpose_halves(call_.k.from(0, at_), call_.keys, call_.head, k_transposed_);
    for (int64_t i = 0; i < call_.queries; i += tile_queries)
      block(i, smaller(tile_queries, call_.queries - i));
    for (int64_t j = 0; j < call_.keys; ++j)
      for (int64_t c = 0; c < call_.head; c += lanes) {
        store(call_.dk[j] + at_ + c, load(dk_[j] + c));
        store(call_.dv[j] + at_ + c, load(dv_[j] + c));
      }
  }

 private:
  void block(int64_t i, int64_t rows) {
    const int64_t head = call_.head, keys = call_.keys;
    const Rows<const Bf16> q = call_.q.from(i, at_), d = call_.dout.from(i, at_);
    pack_transposed(q, rows, head, packed_);
    tile_product(call_.k.from(0, at_), keys, head, packed_, scores_, rows);
    pack_transposed(d, rows, head, packed_);
    tile_product(call_.v.from(0, at_), keys, head, packed_, gradient_, rows);
    QueryBlock queries(call_, h_, i, rows);
    differentiate(queries);
    pack_rows(d, rows, head, packed_);
    tile_product<float>({probabilities_.data, tile_queries}, keys, rows, packed_, dv_, head, i > 0);
    pack_rows(q, rows, head, packed_);
    tile_product<float>({score_gradient_.data, tile_queries}, keys, rows, packed_, dk_, head,
                        i > 0);
    tile_product<float>({k_transposed_.data, k_transposed_.stride}, head, keys, packed_gradient_,
                        dq_, rows);
    transpose_sums({dq_.data, dq_.stride}, head, rows, call_.dq.from(i, at_));
  }

  /// Probabilities from scores, and from the gradients of the dropped ones those of the scores.
  void differentiate(QueryBlock& queries) {
    const __m512 scale = _mm512_set1_ps(call_.scale);
    for (int64_t v = 0; v < queries.vectors(); ++v) {
      QueryLanes& q = queries[v];
      const int64_t c = v * lanes;
      __m512 sum = _mm512_setzero_ps();
      for (int64_t j = 0; j < call_.keys; ++j) {
        const __m512 shifted = _mm512_sub_ps(load(scores_[j] + c, q.used), q.largest);
        const __m512 p = _mm512_mul_ps(exponential(_mm512_mul_ps(shifted, scale)), q.inverse);
        const __m512 dp = queries.drop(q, load(gradient_[j] + c, q.used), j);
        sum = _mm512_fmadd_ps(p, dp, sum);
        store(scores_[j] + c, p);
        store(gradient_[j] + c, dp);
        store(probabilities_[j] + c, queries.drop(q, p, j));
      }
      q.mean = sum;
      pair_gradients(v, queries.vectors() * lanes, q, scale);
    }
  }

  /// The gradients of the scores of 16 of a block's queries, a key a row, and packed.
  void pair_gradients(int64_t v, int64_t queries, const QueryLanes& q, __m512 scale) {
    const int64_t c = v * lanes, panel = c / panel_columns * panel_columns;
    const int64_t width = smaller(panel_columns, queries - panel);
    Bf16* packed = packed_gradient_ + packed_offset(call_.keys, panel) + (c - panel) * 2;
    const auto of_key = [&](int64_t j) {
      if (j == call_.keys) return _mm256_setzero_si256();
      const __m512 centred = _mm512_sub_ps(load(gradient_[j] + c), q.mean);
      const __m512 ds = _mm512_mul_ps(_mm512_mul_ps(load(scores_[j] + c), centred), scale);
      const __m256i rounded = to_bf16(_mm512_maskz_mov_ps(q.used, ds));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(score_gradient_[j] + c), rounded);
      return rounded;
    };
    for (int64_t j = 0; j < call_.keys; j += 2, packed += 2 * width) {
      const __m256i low = of_key(j), high = of_key(j + 1);
      _mm512_storeu_si512(packed, pair_up(low, high));
    }
  }

  /// y [columns, rows] = the transpose of x.
  static void transpose_halves(Rows<const Bf16> x, int64_t rows, int64_t columns, Rows<Bf16> y) {
    for (int64_t j = 0; j < rows; j += lanes)
      for (int64_t c = 0; c < columns; c += lanes) {
        __m512i words[16];
        for (int64_t i = 0; i < lanes; ++i)
          words[i] =
              j + i < rows ? _mm512_castps_si512(load(x[j + i] + c)) : _mm512_setzero_si512();
        transpose(words);
        for (int64_t i = 0; i < lanes; ++i) store(y[c + i] + j, _mm512_castsi512_ps(words[i]));
      }
  }

  /// y [columns, rows] = the transpose of x [rows, columns]; rows is a multiple of 16.
  static void transpose_sums(Rows<const float> x, int64_t rows, int64_t columns, Rows<Bf16> y) {
    for (int64_t j = 0; j < columns; j += lanes)
      for (int64_t c = 0; c < rows; c += lanes) {
        __m512i words[16];
        for (int64_t i = 0; i < lanes; ++i) words[i] = _mm512_castps_si512(load(x[c + i] + j));
        transpose(words);
        for (int64_t i = 0; i < smaller(lanes, columns - j); ++i)
          store(y[j + i] + c, _mm512_castsi512_ps(words[i]));
      }
  }

  const AttentionBackward<Bf16>& call_;
  int64_t h_, at_;
  TileScratch scratch_;
  Rows<Bf16> k_transposed_, probabilities_, score_gradient_;
  Rows<float> dk_, dv_, scores_, gradient_, dq_;
  Bf16 *packed_gradient_, *packed_;
};

inline void tile_attention_backward(const AttentionBackward<Bf16>& call) {
  if (call.queries < fewest_tile_queries || call.keys < fewest_tile_keys)
    return attention_backward<Bf16>(call);
  for (int64_t h = 0; h < call.heads; ++h) TileBackwardHead(call, h).run();
}

}  // namespace
}  // namespace mtlora::backend::cpu
