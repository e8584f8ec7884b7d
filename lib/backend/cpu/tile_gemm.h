// Matrix product with a packed right side by matrix tiles (AMX): c = a · B + bias in bf16, summed
// in fp32. A tile of the right side is 16 pairs along the depth by 16 columns, as pack() lays them
// (gemm.h), so that it is loaded from where it is. A block of c is 32 rows by a panel of 32
// columns: four tiles of sums, to each of which every two tiles of the left and the right side are
// added.
#pragma once

#include "lib/backend/cpu/gemm.h"

namespace mtlora::backend::cpu {
namespace {

constexpr int64_t tile_rows = 16, tile_depth = 32;
constexpr int64_t block_rows = 2 * tile_rows;

/// Elements of a pair of rows of a panel of two columns of tiles (`right`) or of one.
template <bool right>
constexpr int64_t pair_elements = (right ? 2 : 1) * lanes * 2;

// The tiles by number. They are part of the instructions: no variable can name them.
#define SUM_UPPER_LEFT 0
#define SUM_UPPER_RIGHT 1
#define SUM_LOWER_LEFT 2
#define SUM_LOWER_RIGHT 3
#define ROWS_UPPER 4
#define ROWS_LOWER 5
#define COLUMNS_LEFT 6
#define COLUMNS_RIGHT 7

/// What LDTILECFG reads (Intel 64 and IA-32 Architectures Software Developer's Manual,
/// "LDTILECFG").
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

/// Tiles for blocks of `rows` rows, 1 .. 32.
inline void shape_tiles(int64_t rows) {
  const auto upper = static_cast<uint8_t>(smaller(rows, tile_rows));
  const auto lower = static_cast<uint8_t>(rows > tile_rows ? rows - tile_rows : 1);
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.row_bytes[tile] = 64;
  for (const int tile : {SUM_UPPER_LEFT, SUM_UPPER_RIGHT, ROWS_UPPER}) shapes.rows[tile] = upper;
  for (const int tile : {SUM_LOWER_LEFT, SUM_LOWER_RIGHT, ROWS_LOWER}) shapes.rows[tile] = lower;
  for (const int tile : {COLUMNS_LEFT, COLUMNS_RIGHT}) shapes.rows[tile] = 16;
  _tile_loadconfig(&shapes);
}

/// Asks for the lines of the right side that come next, from `next` on, while others are
/// multiplied: as many in `blocks` blocks as one block reads, evenly over their steps.
class Lookahead {
 public:
  Lookahead() = default;
  Lookahead(const Bf16* next, const Bf16* end, int64_t blocks, int64_t step_elements)
      : next_(next), end_(end), lines_((step_elements / line + blocks - 1) / blocks) {}

  void step() {
    for (int64_t i = 0; i < lines_ && next_ < end_; ++i, next_ += line)
      _mm_prefetch(next_, _MM_HINT_T1);
  }

 private:
  static constexpr int64_t line = 64 / sizeof(Bf16);
  const Bf16 *next_ = nullptr, *end_ = nullptr;
  int64_t lines_ = 0;  ///< a step
};

/// The sums of a block: two rows of tiles (`lower`) or one, two columns (`right`) or one.
template <bool lower, bool right>
struct TileBlock {
  static constexpr int64_t row_bytes = panel_columns * sizeof(float);
  static constexpr int64_t lower_sums = tile_rows * panel_columns;

  static void clear() {
    _tile_zero(SUM_UPPER_LEFT);
    if constexpr (right) _tile_zero(SUM_UPPER_RIGHT);
    if constexpr (lower) _tile_zero(SUM_LOWER_LEFT);
    if constexpr (lower && right) _tile_zero(SUM_LOWER_RIGHT);
  }

  static void load(const float* sums) {
    _tile_loadd(SUM_UPPER_LEFT, sums, row_bytes);
    if constexpr (right) _tile_loadd(SUM_UPPER_RIGHT, sums + lanes, row_bytes);
    if constexpr (lower) _tile_loadd(SUM_LOWER_LEFT, sums + lower_sums, row_bytes);
    if constexpr (lower && right)
      _tile_loadd(SUM_LOWER_RIGHT, sums + lower_sums + lanes, row_bytes);
  }

  static void store(float* sums) {
    _tile_stored(SUM_UPPER_LEFT, sums, row_bytes);
    if constexpr (right) _tile_stored(SUM_UPPER_RIGHT, sums + lanes, row_bytes);
    if constexpr (lower) _tile_stored(SUM_LOWER_LEFT, sums + lower_sums, row_bytes);
    if constexpr (lower && right)
      _tile_stored(SUM_LOWER_RIGHT, sums + lower_sums + lanes, row_bytes);
  }

  /// Adds the products of `steps` · 32 elements along the depth, and looks ahead.
  static void multiply(const Bf16* a, int64_t a_row, const Bf16* b, int64_t steps,
                       Lookahead& lookahead) {
    constexpr int64_t unit = pair_elements<right>;
    constexpr int64_t b_bytes = unit * sizeof(Bf16);
    const int64_t a_bytes = a_row * static_cast<int64_t>(sizeof(Bf16));
    for (int64_t s = 0; s < steps; ++s, a += tile_depth, b += tile_depth / 2 * unit) {
      lookahead.step();
      _tile_loadd(COLUMNS_LEFT, b, b_bytes);
      _tile_loadd(ROWS_UPPER, a, a_bytes);
      _tile_dpbf16ps(SUM_UPPER_LEFT, ROWS_UPPER, COLUMNS_LEFT);
      if constexpr (right) _tile_loadd(COLUMNS_RIGHT, b + lanes * 2, b_bytes);
      if constexpr (right) _tile_dpbf16ps(SUM_UPPER_RIGHT, ROWS_UPPER, COLUMNS_RIGHT);
      if constexpr (lower) _tile_loadd(ROWS_LOWER, a + tile_rows * a_row, a_bytes);
      if constexpr (lower) _tile_dpbf16ps(SUM_LOWER_LEFT, ROWS_LOWER, COLUMNS_LEFT);
      if constexpr (lower && right) _tile_dpbf16ps(SUM_LOWER_RIGHT, ROWS_LOWER, COLUMNS_RIGHT);
    }
  }
};

#undef SUM_UPPER_LEFT
#undef SUM_UPPER_RIGHT
#undef SUM_LOWER_LEFT
#undef SUM_LOWER_RIGHT
#undef ROWS_UPPER
#undef ROWS_LOWER
#undef COLUMNS_LEFT
#undef COLUMNS_RIGHT

/// A product of so many rows that the left side stays in the second cache. What a depth leaves over
/// from whole tiles is copied into tiles filled up with zeros: of the left side at the beginning,
/// of the right side for each panel.
template <class Out>
class TileGemm {
 public:
  static constexpr int64_t most_rows = 512;

  /// Rows of `depth` to multiply at a time: about a megabyte.
  static int64_t rows_at_once(int64_t depth) {
    const int64_t rows = (int64_t{1} << 19) / (depth > 0 ? depth : 1) / block_rows * block_rows;
    return smaller(most_rows, rows > block_rows ? rows : block_rows);
  }

  TileGemm(const GemmCall<Bf16, Out>& call, int64_t begin, int64_t rows)
      : call_(call),
        begin_(begin),
        rows_(rows),
        steps_(call.depth / tile_depth),
        left_over_(call.depth % tile_depth) {
    for (int64_t r = 0; left_over_ > 0 && r < rows; ++r) {
      const Bf16* row = left(r) + steps_ * tile_depth;
      _mm512_store_si512(left_rest_[r], along_depth<Bf16>(row, left_over_));
    }
  }

  void run() {
    for (int64_t column = 0; column < call_.columns; column += panel_columns)
      if (call_.columns - column > lanes)
        panel<true>(column);
      else
        panel<false>(column);
  }

 private:
  /// Steps of the depth whose part of a panel stays in the first cache.
  static constexpr int64_t most_steps = 512 / tile_depth;

  const Bf16* right_end() const { return call_.packed + packed_size(call_.depth, call_.columns); }
  const Bf16* left(int64_t row) const { return call_.a + (begin_ + row) * call_.a_row; }

  template <bool right>
  void panel(int64_t column) {
    const Bf16* b = call_.packed + packed_offset(call_.depth, column);
    if (left_over_ > 0) copy_rest<right>(b);
    const int64_t whole = rows_ / block_rows * block_rows;
    if (whole > 0) {
      shape_tiles(block_rows);
      blocks<true, right>(0, whole, column, b);
    }
    if (whole == rows_) return;
    shape_tiles(rows_ - whole);
    if (rows_ - whole > tile_rows)
      blocks<true, right>(whole, rows_, column, b);
    else
      blocks<false, right>(whole, rows_, column, b);
  }

  template <bool right>
  void copy_rest(const Bf16* b) {
    constexpr int64_t unit = pair_elements<right>;
    const Bf16* from = b + steps_ * (tile_depth / 2) * unit;
    const int64_t units = (left_over_ + 1) / 2;
    std::memset(right_rest_, 0, sizeof right_rest_);
    std::memcpy(right_rest_, from, static_cast<size_t>(units * unit) * sizeof(Bf16));
  }

  /// All blocks of a panel, piece by piece of the depth; between pieces the sums are kept.
  template <bool lower, bool right>
  void blocks(int64_t begin, int64_t end, int64_t column, const Bf16* b) {
    using Block = TileBlock<lower, right>;
    constexpr int64_t step = tile_depth / 2 * pair_elements<right>;
    const int64_t pieces = steps_ > most_steps ? (steps_ + most_steps - 1) / most_steps : 1;
    const int64_t length = (steps_ + pieces - 1) / pieces;
    Lookahead nothing;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const bool ends = piece + 1 == pieces;
      const int64_t first = smaller(piece * length, steps_), last = smaller(first + length, steps_);
      Lookahead lookahead(b + last * step, right_end(), (end - begin + block_rows - 1) / block_rows,
                          step);
      for (int64_t row = begin; row < end; row += block_rows) {
        float* sums = sums_ + (pieces > 1 ? row * panel_columns : 0);
        piece == 0 ? Block::clear() : Block::load(sums);
        Block::multiply(left(row) + first * tile_depth, call_.a_row, b + first * step, last - first,
                        lookahead);
        if (ends && left_over_ > 0)
          Block::multiply(left_rest_[row], tile_depth, right_rest_, 1, nothing);
        Block::store(sums);
        if (ends) write<right>(sums, row, smaller(block_rows, end - row), column);
      }
    }
  }

  template <bool right>
  void write(const float* sums, int64_t row, int64_t rows, int64_t column) const {
    for (int64_t c = 0; c < (right ? panel_columns : lanes); c += lanes) {
      const __mmask16 mask = first(call_.columns - column - c);
      const __m512 bias = call_.bias ? load(call_.bias + column + c, mask) : _mm512_setzero_ps();
      for (int64_t r = 0; r < rows; ++r) {
        Out* y = call_.c[begin_ + row + r] + column + c;
        __m512 value = _mm512_add_ps(load(sums + r * panel_columns + c), bias);
        if (call_.accumulate) value = _mm512_add_ps(value, load(y, mask));
        store(y, value, mask);
      }
    }
  }

  const GemmCall<Bf16, Out>& call_;
  int64_t begin_, rows_, steps_, left_over_;
  alignas(64) float sums_[most_rows * panel_columns];
  alignas(64) Bf16 left_rest_[most_rows][tile_depth];
  alignas(64) Bf16 right_rest_[tile_depth * panel_columns];
};

template <class Out>
void tile_gemm(const GemmCall<Bf16, Out>& call) {
  const int64_t most = TileGemm<Out>::rows_at_once(call.depth);
  for (int64_t row = 0; row < call.rows; row += most)
    TileGemm<Out>(call, row, smaller(most, call.rows - row)).run();
  _tile_release();
}

}  // namespace
}  // namespace mtlora::backend::cpu
