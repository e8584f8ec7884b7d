// CIDEr: cosine similarity of the tf-idf weights g of runs of n = 1 … 4 words, mean over n and the
// references r of a segment, times 10. COCO's caption evaluation, and with it e2e-metrics, calls
// CIDEr what the paper calls CIDEr-D: an output's weight counts up to the reference's, and texts
// that differ in length count less,
//   Σ_k min(g_k(o), g_k(r)) g_k(r) / (|g(o)| |g(r)|) · exp(-(l_o - l_r)² / (2 · 6²)),
// l the number of pairs of words; idf over the segments whose references have the run.
// Vedantam, Zitnick, Parikh 2015, "CIDEr: consensus-based image description evaluation",
// arXiv:1411.5726. On Penn Treebank words.

#include <algorithm>
#include <cmath>
#include <set>

#include "lib/metrics/ngrams.h"
#include "lib/metrics/ptb_tokens.h"

namespace mtlora {
namespace {

constexpr size_t kOrder = 4;
constexpr double kSigma = 6;

// The weights of a text's runs, their norm for each n, and its pairs of words.
struct Weights {
  std::vector<std::pair<Ngram, double>> of;  // in the order of the runs
  std::array<double, kOrder> norm{};
  double pairs = 0;
};

class Cider final : public TextScorer {
 public:
  explicit Cider(const std::vector<TextSegment>& corpus) : corpus_(corpus, ptb_words) {
    for (const NgramCounts& counts : reference_counts(corpus_, kOrder))
      for (const auto& [ngram, count] : counts) segments_with_[ngram] += 1;
    log_segments_ = std::log(static_cast<double>(corpus_.segments.size()));
  }

  std::vector<double> statistics(size_t i) const override {
    const auto& segment = corpus_.segments[i];
    const Weights output = weights(segment.hypothesis);
    double sum = 0;
    for (const WordIds& reference : segment.references)
      sum += similarity(output, weights(reference));
    return {10 * sum / static_cast<double>(segment.references.size())};
  }

  double score(const std::vector<double>& sum, size_t segments) const override {
    return sum[0] / static_cast<double>(segments);
  }

 private:
  Weights weights(const WordIds& words) const {
    Weights w;
    for (const auto& [ngram, count] : count_ngrams(words, kOrder)) {
      const auto found = segments_with_.find(ngram);
      const double idf =
          log_segments_ - (found == segments_with_.end() ? 0 : std::log(found->second));
      const double weight = static_cast<double>(count) * idf;
      w.of.emplace_back(ngram, weight);
      w.norm[ngram.size() - 1] += weight * weight;
    }
    for (double& norm : w.norm) norm = std::sqrt(norm);
    w.pairs = runs(words.size(), 2);
    return w;
  }

  static double similarity(const Weights& output, const Weights& reference) {
    std::array<double, kOrder> products{};
    for_each_shared(output.of, reference.of, [&](const Ngram& ngram, double here, double there) {
      products[ngram.size() - 1] += std::min(here, there) * there;
    });
    double sum = 0;
    for (size_t n = 0; n < kOrder; ++n) {
      const double norms = output.norm[n] * reference.norm[n];
      sum += norms == 0 ? 0 : products[n] / norms;
    }
    const double away = output.pairs - reference.pairs;
    return sum / kOrder * std::exp(-away * away / (2 * kSigma * kSigma));
  }

  NumberedCorpus corpus_;
  NgramMap<double> segments_with_;
  double log_segments_ = 0;
};

struct NoOptions {
  void fields(Fields&) {}
};

}  // namespace

TextMetric text_metrics_list::cider() {
  return {{"cider",
           "tf-idf similarity of runs of words with the references, 0 to 10. Words are "
           "PTBTokenizer's, but for web addresses, tags, emoticons and a few rare forms.",
           default_visit<NoOptions>()},
          "COCO caption evaluation as in e2e-metrics",
          true,
          [](const Json& options, const std::vector<TextSegment>& corpus) {
            parse<NoOptions>(options, "/cider");
            return std::make_unique<Cider>(corpus);
          }};
}

}  // namespace mtlora
