// ROUGE-L: with c the longest common subsequence of the words of an output o and a reference r,
//   P = max_r |c| / |o|,  R = max_r |c| / |r|,  F = (1 + β²) P R / (R + β² P),  β = 1.2,
// a segment's mean. Lin 2004, "ROUGE: a package for automatic evaluation of summaries", as COCO's
// caption evaluation and with it e2e-metrics have it (best precision and best recall may come from
// different references), on Penn Treebank words.

#include <algorithm>

#include "lib/metrics/ngrams.h"
#include "lib/metrics/ptb_tokens.h"

namespace mtlora {
namespace {

constexpr double kBeta2 = 1.2 * 1.2;

size_t longest_common_subsequence(const WordIds& a, const WordIds& b) {
  std::vector<size_t> row(b.size() + 1, 0);  // of the first words of a, by words of b
  for (const uint32_t word : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

// A text without words is one empty word there: "".split(" ").
std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out = ptb_words(text);
  if (out.empty()) out.emplace_back();
  return out;
}

class RougeL final : public TextScorer {
 public:
  explicit RougeL(const std::vector<TextSegment>& corpus) : corpus_(corpus, words) {}

  std::vector<double> statistics(size_t i) const override {
    const auto& [hypothesis, references, empty] = corpus_.segments[i];
    double precision = 0, recall = 0;
    for (const WordIds& reference : references) {
      const auto common = static_cast<double>(longest_common_subsequence(hypothesis, reference));
      precision = std::max(precision, common / static_cast<double>(hypothesis.size()));
      recall = std::max(recall, common / static_cast<double>(reference.size()));
    }
    if (precision == 0 || recall == 0) return {0.0};
    return {(1 + kBeta2) * precision * recall / (recall + kBeta2 * precision)};
  }

  double score(const std::vector<double>& sum, size_t segments) const override {
    return sum[0] / static_cast<double>(segments);
  }

 private:
  NumberedCorpus corpus_;
};

struct NoOptions {
  void fields(Fields&) {}
};

}  // namespace

TextMetric text_metrics_list::rouge_l() {
  return {{"rouge_l",
           "Longest common subsequence of words, 0 to 1. Words are PTBTokenizer's, but for web "
           "addresses, tags, emoticons and a few rare forms.",
           default_visit<NoOptions>()},
          "COCO caption evaluation as in e2e-metrics",
          true,
          [](const Json& options, const std::vector<TextSegment>& corpus) {
            parse<NoOptions>(options, "/rouge_l");
            return std::make_unique<RougeL>(corpus);
          }};
}

}  // namespace mtlora
