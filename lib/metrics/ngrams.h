// Words as numbers and runs of them with counts: what BLEU, NIST and CIDEr are made of.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/core/random.h"
#include "lib/metrics/text_metric.h"

namespace mtlora {

using WordIds = std::vector<uint32_t>;

/// Up to six words; 0 stands where there is none.
struct Ngram {
  std::array<uint32_t, 6> words{};
  bool operator==(const Ngram&) const = default;

  size_t size() const {
    size_t n = 0;
    while (n < words.size() && words[n] != 0) ++n;
    return n;
  }
  /// All words but the last.
  Ngram prefix() const {
    Ngram p = *this;
    if (const size_t n = size(); n > 0) p.words[n - 1] = 0;
    return p;
  }
};

struct NgramHash {
  size_t operator()(const Ngram& n) const {
    uint64_t hash = 0;
    for (const uint32_t word : n.words) hash = combine(hash, word);
    return hash;
  }
};

template <class Value>
using NgramMap = std::unordered_map<Ngram, Value, NgramHash>;

/// How often each run of 1 to `order` (at most 6) words stands in a text.
NgramMap<int64_t> count_ngrams(const WordIds& words, size_t order);
/// Raises each count to the one of `counts`, where that is larger: over several references, the
/// most that one of them has.
void keep_larger(NgramMap<int64_t>& most, const NgramMap<int64_t>& counts);

/// Runs of `order` words in a text of `words` words.
inline double runs(size_t words, size_t order) {
  return words >= order ? static_cast<double>(words - order + 1) : 0.0;
}

/// A corpus with its words as numbers from 1 on; equal words, equal numbers.
struct NumberedCorpus {
  struct Segment {
    WordIds hypothesis;
    std::vector<WordIds> references;
    size_t empty_references = 0;
  };
  std::vector<Segment> segments;

  using Tokenize = std::function<std::vector<std::string>(const std::string&)>;
  NumberedCorpus(const std::vector<TextSegment>& corpus, const Tokenize& tokenize);
};

/// The length of the reference that is nearest to `words`, the shorter one of two as near.
/// References that are missing count as length 0.
size_t closest_length(const NumberedCorpus::Segment& segment);

}  // namespace mtlora
