// Words as numbers and runs of them with counts: what BLEU, NIST and CIDEr are made of.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/core/random.h"
#include "lib/metrics/text_metric.h"

namespace mtlora {

using WordIds = std::vector<uint32_t>;

/// Up to six words; 0 stands where there is none.
struct Ngram {
  std::array<uint32_t, 6> words{};
  auto operator<=>(const Ngram&) const = default;

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
    for (size_t k = 0; k < n.words.size() && n.words[k] != 0; ++k) hash = combine(hash, n.words[k]);
    return hash;
  }
};

template <class Value>
using NgramMap = std::unordered_map<Ngram, Value, NgramHash>;

/// Runs of words with how often each occurs; each once, in order.
using NgramCounts = std::vector<std::pair<Ngram, int64_t>>;

/// How often each run of 1 to `order` (at most 6) words stands in a text.
NgramCounts count_ngrams(const WordIds& words, size_t order);
/// For each run of any of them the most that one of them has: of several references, say.
NgramCounts largest_counts(const std::vector<WordIds>& texts, size_t order);

/// Calls each(ngram, count in a, count in b) for the runs that both have.
template <class Value, class Each>
void for_each_shared(const std::vector<std::pair<Ngram, Value>>& a,
                     const std::vector<std::pair<Ngram, Value>>& b, const Each& each) {
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    const auto order = x->first <=> y->first;
    if (order == 0) each(x->first, x->second, y->second);
    x += order <= 0 ? 1 : 0;
    y += order >= 0 ? 1 : 0;
  }
}

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

/// largest_counts() of each segment's references.
std::vector<NgramCounts> reference_counts(const NumberedCorpus& corpus, size_t order);

/// The length of the reference that is nearest to `words`, the shorter one of two as near.
/// References that are missing count as length 0.
size_t closest_length(const NumberedCorpus::Segment& segment);

}  // namespace mtlora
