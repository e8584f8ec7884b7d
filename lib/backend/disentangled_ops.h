// Attention with relative positions, on the terms of ops.h.
#pragma once

#include <utility>

#include "lib/backend/ops.h"

namespace mtlora::backend {

/// Projected relative positions. A distance is a query's place in its sequence minus the key's.
struct RelativePositions {
  Tensor query, key;  ///< [rows, width]: heads one after the other; undefined: no such term
  /// [2 · reach - 1]: distance d reads row row_of[d + reach - 1], for every |d| < reach; reach is
  /// at least the longest sequence's tokens.
  std::shared_ptr<const std::vector<int32_t>> row_of;
  Tensor device_row_of = {};  ///< the same on the CUDA device, int32; undefined: not there yet
};

/// Disentangled attention of each sequence with itself (He et al. 2021, arXiv 2006.03654, section
/// 3.1). The score of query i and key j is
///   scale · (q_i·k_j + q_i·key[row(i - j)] + k_j·query[row(i - j)])
/// qkv [tokens, 3 · width]: q | k | v. Returns [tokens, width]. Softmax and sums are fp32.
Tensor disentangled_attention(const Tensor& qkv, const RelativePositions& positions,
                              const Packing& packing, const AttentionShape& shape,
                              const Dropout& dropout);

/// The same for the first token's query of each sequence: q [sequences, width], kv [tokens, 2 ·
/// width]: k | v. The rows of `dropout` are those of q. Returns [sequences, width].
Tensor disentangled_pooled_attention(const Tensor& q, const Tensor& kv,
                                     const RelativePositions& positions, const Packing& packing,
                                     const AttentionShape& shape, const Dropout& dropout);

/// x [rows, 2 · width] as its left and its right columns: query and key rows that were projected
/// together. On a device their gradients, where they lie side by side, are one without a copy.
std::pair<Tensor, Tensor> column_halves(const Tensor& x);

}  // namespace mtlora::backend
