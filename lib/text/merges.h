// The merges of byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909): within a word the pair
// of the lowest rank is merged, the leftmost first, until none is left.
// Source: Hugging Face `tokenizers`, models/bpe/word.rs.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lib/text/vocabulary.h"

namespace mtlora {

/// A pair of tokens as the vocabulary spells them, the highest priority first.
using Merges = std::vector<std::pair<std::string, std::string>>;

/// From (left id, right id) to the rank of their merge and the id that it gives.
class MergeTable {
 public:
  struct Merge {
    int32_t rank = -1, id = -1;
  };
  MergeTable() = default;
  /// Throws Error for a merge of tokens, or to a token, that the vocabulary does not have.
  MergeTable(const Merges& merges, const Vocabulary& vocabulary);
  /// The merge of a pair; null where it has none.
  const Merge* find(int32_t left, int32_t right) const;
  /// Merges `ids` from `begin` to the end, which are one word.
  void merge(size_t begin, std::vector<int32_t>& ids) const;

 private:
  struct Slot {
    uint64_t pair;
    Merge merge;
  };
  size_t slot(uint64_t pair) const;
  std::vector<Slot> slots_;  // open addressing, at most half full; a power of two
};

}  // namespace mtlora
