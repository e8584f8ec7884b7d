// What stands at the two ends of a model: its embeddings, and a classifier's loss. As the
// operations of ops.h.
#pragma once

#include <vector>

#include "lib/backend/ops.h"

namespace mtlora::backend {

/// Rows of a table [entries, width]: row `rows[i]` + first for token i. On a device nobody checks
/// whether there is such a row.
struct Lookup {
  Tensor table, rows;  ///< rows [tokens] int64
  int64_t first = 0;
};

/// The lookups' sum, [tokens, width] in the tables' type.
Tensor sum_of(const std::vector<Lookup>& lookups);

/// dropout(LayerNorm(the lookups' sum)), [tokens, width] in the tables' type.
Tensor embed(const std::vector<Lookup>& lookups, const Affine& affine, const Dropout& dropout);

/// The sum over the rows of (1 - ε) · NLL + ε · mean over the classes of -log p, an fp32 scalar:
/// cross-entropy with label smoothing ε as torch's (Szegedy et al. 2016, arXiv:1512.00567, section
/// 7). logits [rows, classes], taken as fp32 (double stays); labels [rows] int64. A label that is
/// no class throws c10::Error; on a device the loss is NaN then.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double label_smoothing);

}  // namespace mtlora::backend
