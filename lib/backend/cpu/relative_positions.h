// Products with relative positions. A head's position rows are laid out once for all sequences, a
// row for every distance. Sixteen queries a .. a + 15 together meet the distances of their
// sequence's length + 15 neighbouring rows: one product with those, and row r of it, moved by r
// places, is added to the scores of query a + r. The term of the keys is the same with queries and
// keys exchanged. All arithmetic is fp32.
#pragma once

#include "lib/backend/cpu/attention.h"

namespace mtlora::backend::cpu {
namespace {

/// Hands out parts of the scratch memory.
class Scratch {
 public:
  explicit Scratch(float* memory) : next_(memory) {}
  float* take(int64_t count) {
    float* taken = next_;
    next_ += count;
    return taken;
  }

 private:
  float* next_;
};

/// The position rows of one head by distance from a place to one it looks at: distance e is row
/// e + longest - 1.
struct DistanceTable {
  int64_t longest, head, columns;
  Rows<float> rows;   // [distances, head]; null: there is no such term
  float* transposed;  // [head, columns], zeros after the last distance
  Rows<float> gradient;

  int64_t distances() const { return 2 * longest - 1; }
};

/// `sign` turns the distance that is seen from a place into query minus key: -1 from a query, 1
/// from a key.
template <class T>
DistanceTable table_of(Rows<const T> positions, int64_t h, int64_t sign,
                       const DisentangledInputs<T>& in, Scratch& scratch) {
  const int64_t head = in.head, longest = in.longest, columns = distance_columns(longest);
  DistanceTable table{longest, head, columns, {}, nullptr, {}};
  if (!positions) return table;
  table.rows = {scratch.take(columns * head), head};
  table.transposed = scratch.take(columns * head);
  for (int64_t e = 1 - longest; e < longest; ++e) {
    const T* from = positions[in.row_of[sign * e]] + h * head;
    float* to = table.rows[e + longest - 1];
    for (int64_t c = 0; c < head; c += lanes) store(to + c, load(from + c));
  }
  transpose_rows<float>({table.rows.data, head}, table.distances(), head, columns,
                        table.transposed);
  return table;
}

inline void start_gradient(DistanceTable& table, Scratch& scratch) {
  if (!table.rows) return;
  const int64_t count = table.distances() * table.head;
  table.gradient = {scratch.take(count), table.head};
  std::memset(table.gradient.data, 0, static_cast<size_t>(count) * sizeof(float));
}

/// Adds the gradients of all distances to those of the rows they read.
inline void add_gradient(const DistanceTable& table, Rows<float> gradient, int64_t h, int64_t sign,
                         const int32_t* row_of) {
  if (!table.gradient || !gradient) return;
  for (int64_t e = 1 - table.longest; e < table.longest; ++e) {
    const float* from = table.gradient[e + table.longest - 1];
    float* to = gradient[row_of[sign * e]] + h * table.head;
    for (int64_t c = 0; c < table.head; c += lanes)
      store(to + c, _mm512_add_ps(load(to + c), load(from + c)));
  }
}

/// Places first .. first + rows - 1 that look at places 0 .. others - 1: in row r of the block,
/// what belongs to place b stands at column b + moved(r).
struct ShiftedBlock {
  int64_t first, rows, others;
  float* data;

  int64_t stride() const { return rounded_up(others) + 2 * lanes; }
  int64_t distances() const { return others + rows - 1; }
  int64_t moved(int64_t r) const { return rows - 1 - r; }
  /// The row of the table that column 0 belongs to.
  int64_t begin(const DistanceTable& table) const { return table.longest - first - rows; }
  float* at(int64_t r, int64_t b) const { return data + r * stride() + b + moved(r); }
};

/// Calls f with each block of `places` places.
template <class F>
void over_blocks(int64_t places, int64_t others, float* memory, F&& f) {
  for (int64_t a = 0; a < places; a += shifted_rows)
    f(ShiftedBlock{a, smaller(shifted_rows, places - a), others, memory});
}

/// Calls f(b, words) with 16 × 16 entries: words[r] is row r's for places b .. b + 15.
template <class F>
void over_tiles(const ShiftedBlock& block, F&& f) {
  for (int64_t b = 0; b < block.others; b += lanes) {
    __m512i words[16];
    for (int64_t r = 0; r < lanes; ++r)
      words[r] =
          r < block.rows ? _mm512_castps_si512(load(block.at(r, b))) : _mm512_setzero_si512();
    f(b, words);
  }
}

/// scores [queries, padded keys] += q·PK, or k·PQ where `from_keys`; x are the queries' or keys'
/// rows. Columns after the last key are not cared for.
template <bool from_keys>
void add_position_scores(Rows<const float> x, int64_t places, int64_t others,
                         const DistanceTable& table, Rows<float> scores, float* memory) {
  if (!table.rows) return;
  over_blocks(places, others, memory, [&](const ShiftedBlock& block) {
    product<false>({x[block.first],
                    x.stride,
                    1,
                    {table.transposed + block.begin(table), table.columns},
                    block.rows,
                    rounded_up(block.distances()),
                    table.head,
                    1.0F},
                   Rows<float>{block.data, block.stride()});
    if constexpr (from_keys) {
      over_tiles(block, [&](int64_t b, __m512i(&words)[16]) {
        transpose(words);
        for (int64_t i = 0; i < smaller(lanes, others - b); ++i) {
          float* to = scores[b + i] + block.first;
          store(to, _mm512_add_ps(load(to), _mm512_castsi512_ps(words[i])));
        }
      });
    } else {
      for (int64_t r = 0; r < block.rows; ++r)
        for (int64_t b = 0; b < others; b += lanes) {
          float* to = scores[block.first + r] + b;
          store(to, _mm512_add_ps(load(to), load(block.at(r, b))));
        }
    }
  });
}

/// The block of the scores' gradient, zeros around it.
template <bool from_keys>
void fill(const ShiftedBlock& block, Rows<const float> gradient) {
  const int64_t count = block.rows * block.stride();
  std::memset(block.data, 0, static_cast<size_t>(count) * sizeof(float));
  for (int64_t b = 0; b < block.others; b += lanes) {
    const int64_t left = smaller(lanes, block.others - b);
    if constexpr (from_keys) {
      __m512i words[16];
      for (int64_t i = 0; i < lanes; ++i)
        words[i] = i < left ? _mm512_castps_si512(load(gradient[b + i] + block.first))
                            : _mm512_setzero_si512();
      transpose(words);
      for (int64_t r = 0; r < block.rows; ++r)
        store(block.at(r, b), _mm512_castsi512_ps(words[r]), first(left));
    } else {
      for (int64_t r = 0; r < block.rows; ++r)
        store(block.at(r, b), load(gradient[block.first + r] + b), first(left));
    }
  }
}

/// From the gradient of the scores: dx += scale · what the table's rows give, and the table's own.
template <bool from_keys>
void position_gradients(Rows<const float> x, int64_t places, int64_t others, float scale,
                        const DistanceTable& table, Rows<const float> gradient, Rows<float> dx,
                        float* memory) {
  if (!table.rows) return;
  over_blocks(places, others, memory, [&](const ShiftedBlock& block) {
    fill<from_keys>(block, gradient);
    const int64_t stride = block.stride(), distances = block.distances();
    const int64_t begin = block.begin(table), head = table.head;
    product<true>(
        {block.data, stride, 1, {table.rows[begin], head}, block.rows, head, distances, scale},
        dx.from(block.first));
    if (table.gradient)
      product<true>(
          {block.data, 1, stride, x.from(block.first), distances, head, block.rows, scale},
          table.gradient.from(begin));
  });
}

}  // namespace
}  // namespace mtlora::backend::cpu
