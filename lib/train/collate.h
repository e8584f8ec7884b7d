// Encoded examples → a batch of un-padded sequences; and how a batch is cut so that every core has
// as much to do.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/nn/pass.h"
#include "lib/train/encoded.h"

namespace mtlora {

/// One example of a batch: which, and its place in the order of the epoch (the key of dropout).
struct Item {
  int64_t index = 0, position = 0;
};

struct CollateOptions {
  bool is_regression = false;
  int64_t round_tokens_to = 1;  ///< filler tokens at the end make the count a multiple of this
};

/// The batch of `items`; labels are left out where an example has none.
Batch collate(const EncodedSet& set, const std::vector<Item>& items, const CollateOptions& options);

/// The batch of texts to be learned: `targets` are the tokens before one of segment 1, `labels` the
/// tokens that follow them.
Batch collate_text(const EncodedSet& set, const std::vector<Item>& items);

/// Cuts a batch into `count` shards of about equal numbers of tokens (some may be empty); a pure
/// function of the lengths, so a run is repeatable.
std::vector<std::vector<Item>> cut_shards(const EncodedSet& set, std::vector<Item> items,
                                          size_t count);

}  // namespace mtlora
