// Translation edit rate: edits / reference words, with the edits to the nearest reference and the
// words of the references' mean, summed over all segments. Smaller is better.
// Snover, Dorr, Schwartz, Micciulla, Makhoul 2006, "A Study of Translation Edit Rate with Targeted
// Human Annotation"; equal to tercom 0.7.25.

#include <unordered_map>

#include "lib/metrics/ter_edits.h"
#include "lib/metrics/ter_words.h"
#include "lib/metrics/text_metric.h"

namespace mtlora {
namespace {

constexpr int64_t kMost = 1'000'000;  // of what is counted in words and edits

struct Options {
  TerWords words;
  int64_t beam = TerLimits{}.beam;
  int64_t shift_distance = TerLimits{}.shift_distance;

  void fields(Fields& f) {
    words.fields(f);
    f("beam", beam, "beam of the edit distance, in edits (tercom -b)", within(1, kMost));
    f("shift_distance", shift_distance, "words that a shift may go over (tercom -d)",
      within(1, kMost));
  }
};

class Ter final : public TextScorer {
 public:
  Ter(const Options& options, const std::vector<TextSegment>& corpus)
      : limits_{.beam = static_cast<int>(options.beam),
                .shift_distance = static_cast<int>(options.shift_distance)} {
    std::unordered_map<std::string, int> numbers;
    const auto encode = [&](const std::string& text) {
      std::vector<int> words;
      for (std::string& word : ter_words(text, options.words)) {
        const int next = static_cast<int>(numbers.size());
        words.push_back(numbers.try_emplace(std::move(word), next).first->second);
      }
      return words;
    };
    segments_.reserve(corpus.size());
    for (const TextSegment& segment : corpus) {
      segments_.push_back({.hypothesis = encode(segment.hypothesis), .references = {}});
      for (const auto& text : segment.references) {
        segments_.back().references.push_back(encode(text));
      }
    }
  }

  std::vector<double> statistics(size_t i) const override {
    TerSearch search(limits_);
    const Segment& segment = segments_.at(i);
    int edits = -1;
    size_t words = 0;
    for (const auto& reference : segment.references) {
      const int now = search.edits(segment.hypothesis, reference);
      if (edits < 0 || now < edits) edits = now;
      words += reference.size();
    }
    return {static_cast<double>(edits),
            static_cast<double>(words) / static_cast<double>(segment.references.size())};
  }

  double score(const std::vector<double>& sum, size_t) const override {
    // Without reference words tercom divides by 0; sacreBLEU says 1, or 0 without edits.
    if (sum[1] == 0) return sum[0] > 0 ? 1 : 0;
    return sum[0] / sum[1];
  }

  std::vector<NamedNumber> details(const std::vector<double>& sum, size_t) const override {
    return {{"edits", sum[0]}, {"reference_words", sum[1]}};
  }

 private:
  struct Segment {
    std::vector<int> hypothesis;
    std::vector<std::vector<int>> references;
  };
  TerLimits limits_;
  std::vector<Segment> segments_;
};

}  // namespace

TextMetric text_metrics_list::ter() {
  TextMetric metric;
  metric.name = "ter";
  metric.summary =
      "translation edit rate: insertions, deletions, substitutions and shifts to the nearest "
      "reference / mean reference words";
  metric.visit = default_visit<Options>();
  metric.source = "tercom 0.7.25";
  metric.larger_is_better = false;
  metric.start = [](const Json& options, const std::vector<TextSegment>& corpus) {
    return std::make_unique<Ter>(parse<Options>(options), corpus);
  };
  return metric;
}

}  // namespace mtlora
