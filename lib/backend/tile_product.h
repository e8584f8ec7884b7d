// Products by LibTorch's library (oneDNN) on a CPU with matrix tiles (AMX). For the sources of this
// folder only.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

namespace mtlora::backend {

/// Rows of a product in two pieces: the first `whole` ones, and the last `tail` (0: none is left).
struct TilePieces {
  int64_t whole, tail;
};

/// The library compiles itself for every number of rows that it meets and keeps that: up to a
/// millisecond and a megabyte for each shape of weights. Token counts hardly come twice, so these
/// pieces are of sizes that do: 16 between a number and its double. What both hold is computed
/// twice: up to 31 rows, and from 512 on less than a sixteenth. Fewer than 32 stay as they are.
inline TilePieces tile_pieces(int64_t rows) {
  constexpr int64_t kLeast = 32;
  if (rows < kLeast) return {rows, 0};
  const auto below = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(rows)));
  const int64_t step = std::max(kLeast, below / 16), whole = rows / step * step;
  return {whole, whole < rows ? step : 0};
}

/// x [rows, depth] · b [depth, columns] + bias (contiguous and of their type, or undefined).
inline at::Tensor tile_product(const at::Tensor& x, const at::Tensor& b, const at::Tensor& bias) {
  const int64_t rows = x.size(0);
  const at::Tensor y = at::empty({rows, b.size(1)}, x.options());
  const auto multiply = [&](int64_t begin, int64_t count) {
    at::Tensor out = y.narrow(0, begin, count);
    if (!bias.defined()) {
      at::mm_out(out, x.narrow(0, begin, count), b);
      return;
    }
    // The library adds to what is there. (at::addmm() would put the bias there too, but slowly.)
    const size_t bytes = bias.nbytes();
    auto* row = static_cast<std::byte*>(out.data_ptr());
    for (int64_t i = 0; i < count; ++i, row += bytes) std::memcpy(row, bias.data_ptr(), bytes);
    out.addmm_(x.narrow(0, begin, count), b);
  };
  const auto [whole, tail] = tile_pieces(rows);
  multiply(0, whole);
  if (tail > 0) multiply(rows - tail, tail);
  return y;
}

}  // namespace mtlora::backend
