#include "lib/metrics/ngrams.h"

#include <algorithm>
#include <limits>

#include "lib/metrics/score_threads.h"

namespace mtlora {
namespace {

struct SegmentWords {
  std::vector<std::string> hypothesis;
  std::vector<std::vector<std::string>> references;
};

class WordNumbers {
 public:
  WordIds of(const std::vector<std::string>& words) {
    WordIds ids;
    ids.reserve(words.size());
    for (const std::string& word : words)
      ids.push_back(
          numbers_.try_emplace(word, static_cast<uint32_t>(numbers_.size() + 1)).first->second);
    return ids;
  }

 private:
  std::unordered_map<std::string, uint32_t> numbers_;
};

}  // namespace

NgramMap<int64_t> count_ngrams(const WordIds& words, size_t order) {
  NgramMap<int64_t> counts;
  counts.reserve(words.size() * order);
  for (size_t begin = 0; begin < words.size(); ++begin) {
    Ngram n;
    for (size_t k = 0; k < order && begin + k < words.size(); ++k) {
      n.words[k] = words[begin + k];
      ++counts[n];
    }
  }
  return counts;
}

void keep_larger(NgramMap<int64_t>& most, const NgramMap<int64_t>& counts) {
  for (const auto& [ngram, count] : counts) {
    int64_t& here = most[ngram];
    here = std::max(here, count);
  }
}

NumberedCorpus::NumberedCorpus(const std::vector<TextSegment>& corpus, const Tokenize& tokenize) {
  std::vector<SegmentWords> words(corpus.size());
  parallel_for(corpus.size(), [&](size_t i) {
    words[i].hypothesis = tokenize(corpus[i].hypothesis);
    for (const std::string& reference : corpus[i].references)
      words[i].references.push_back(tokenize(reference));
  });
  WordNumbers numbers;  // in the order of the corpus, whatever the threads did
  segments.reserve(corpus.size());
  for (size_t i = 0; i < corpus.size(); ++i) {
    Segment segment{numbers.of(words[i].hypothesis), {}, corpus[i].empty_references};
    for (const auto& reference : words[i].references)
      segment.references.push_back(numbers.of(reference));
    segments.push_back(std::move(segment));
  }
}

size_t closest_length(const NumberedCorpus::Segment& segment) {
  const auto words = static_cast<int64_t>(segment.hypothesis.size());
  int64_t closest = segment.empty_references > 0 ? 0 : std::numeric_limits<int32_t>::max();
  for (const WordIds& reference : segment.references) {
    const auto length = static_cast<int64_t>(reference.size());
    const int64_t away = std::abs(length - words), best = std::abs(closest - words);
    if (away < best || (away == best && length < closest)) closest = length;
  }
  return static_cast<size_t>(closest);
}

}  // namespace mtlora
