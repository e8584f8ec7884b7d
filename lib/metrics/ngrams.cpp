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

NgramCounts count_ngrams(const WordIds& words, size_t order) {
  NgramCounts all;
  all.reserve(words.size() * order);
  for (size_t begin = 0; begin < words.size(); ++begin) {
    Ngram n;
    for (size_t k = 0; k < order && begin + k < words.size(); ++k) {
      n.words[k] = words[begin + k];
      all.emplace_back(n, 1);
    }
  }
  std::sort(all.begin(), all.end());
  size_t distinct = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (distinct > 0 && all[distinct - 1].first == all[i].first)
      ++all[distinct - 1].second;
    else
      all[distinct++] = all[i];
  }
  all.resize(distinct);
  return all;
}

NgramCounts largest_counts(const std::vector<WordIds>& texts, size_t order) {
  NgramCounts all;
  for (const WordIds& text : texts) {
    const NgramCounts counts = count_ngrams(text, order);
    all.insert(all.end(), counts.begin(), counts.end());
  }
  std::sort(all.begin(), all.end());  // of equal runs the largest count comes last
  NgramCounts most;
  for (const auto& entry : all) {
    if (!most.empty() && most.back().first == entry.first) most.pop_back();
    most.push_back(entry);
  }
  return most;
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

std::vector<NgramCounts> reference_counts(const NumberedCorpus& corpus, size_t order) {
  std::vector<NgramCounts> counts(corpus.segments.size());
  parallel_for(counts.size(),
               [&](size_t i) { counts[i] = largest_counts(corpus.segments[i].references, order); });
  return counts;
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
