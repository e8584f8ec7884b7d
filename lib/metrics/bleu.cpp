// BLEU: with m_n of an output's t_n runs of n words found in a reference (each as often as one
// reference has it), h words of output and r of the references that are nearest in length,
//   exp(min(0, 1 - r/h)) · exp(1/4 Σ_n log(m_n / t_n)),  n = 1 … 4, times 100.
// Papineni, Roukos, Ward, Zhu 2002, "Bleu: a method for automatic evaluation of machine
// translation". The three scripts that publish it differ in words and in what m_n = 0 means:
//   multi-bleu    words between spaces; the score is 0
//   mteval-v13a   13a words, lower case; the k-th n with m_n = 0 counts 1 / 2^k; an n longer than
//                 the output does not count
//   sacrebleu     13a words; the same, but 0 when no word is right or an n has no run at all

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"
#include "lib/metrics/ngrams.h"
#include "lib/metrics/score_text.h"
#include "lib/metrics/tokenize_13a.h"

namespace mtlora {
namespace {

constexpr size_t kOrder = 4;

struct BleuOptions {
  std::string variant = "mteval-v13a";
  bool lowercase = false;
  void fields(Fields& f) {
    f("variant", variant, "The script whose number it is: multi-bleu, mteval-v13a or sacrebleu.",
      one_of({"multi-bleu", "mteval-v13a", "sacrebleu"}));
    f("lowercase", lowercase,
      "Compare without case, as multi-bleu.perl -lc and sacrebleu -lc do; mteval-v13a always "
      "does, of A to Z.");
  }
};

std::vector<std::string> words(const std::string& text, const BleuOptions& options) {
  using namespace scoring;
  if (options.variant == "multi-bleu")  // Perl sees bytes here
    return words_of(options.lowercase ? ascii_lower_cased(text) : text);
  if (options.variant == "mteval-v13a") return tokenize_13a(ascii_lower_cased(text));
  return tokenize_13a(options.lowercase ? lower_cased(text) : text);
}

// Statistics: words of the output, words of the nearest reference, then m_n and t_n of each n.
struct Counts {
  explicit Counts(const std::vector<double>& sum) : words(sum[0]), reference(sum[1]) {
    for (size_t n = 0; n < kOrder; ++n) {
      matched[n] = sum[2 + 2 * n];
      total[n] = sum[3 + 2 * n];
    }
  }
  double brevity() const {
    if (words == 0) return 0;
    return std::exp(std::min(0.0, 1 - reference / words));
  }
  double words, reference;
  std::array<double, kOrder> matched{}, total{};
};

class Bleu final : public TextScorer {
 public:
  Bleu(const BleuOptions& options, const std::vector<TextSegment>& corpus)
      : variant_(options.variant),
        corpus_(corpus, [&](const std::string& text) { return words(text, options); }) {}

  std::vector<double> statistics(size_t i) const override {
    const auto& segment = corpus_.segments[i];
    std::vector<double> out(2 + 2 * kOrder, 0.0);
    out[0] = static_cast<double>(segment.hypothesis.size());
    out[1] = static_cast<double>(closest_length(segment));
    for_each_shared(count_ngrams(segment.hypothesis, kOrder),
                    largest_counts(segment.references, kOrder),
                    [&](const Ngram& ngram, int64_t here, int64_t there) {
                      out[2 * ngram.size()] += static_cast<double>(std::min(here, there));
                    });
    for (size_t n = 1; n <= kOrder; ++n) out[1 + 2 * n] = runs(segment.hypothesis.size(), n);
    return out;
  }

  double score(const std::vector<double>& sum, size_t) const override {
    const Counts counts(sum);
    double logs = 0, smoothed = 1;
    if (counts.words == 0 || (variant_ == "sacrebleu" && counts.matched[0] == 0)) return 0;
    for (size_t n = 0; n < kOrder; ++n) {
      if (counts.total[n] == 0) {
        if (variant_ != "mteval-v13a") return 0;
      } else if (counts.matched[n] == 0) {
        if (variant_ == "multi-bleu") return 0;
        logs -= std::log((smoothed *= 2) * counts.total[n]);
      } else {
        logs += std::log(counts.matched[n] / counts.total[n]);
      }
    }
    return 100 * counts.brevity() * std::exp(logs / kOrder);
  }

  std::vector<NamedNumber> details(const std::vector<double>& sum, size_t) const override {
    const Counts counts(sum);
    std::vector<NamedNumber> out = {{"brevity_penalty", counts.brevity()},
                                    {"hypothesis_words", counts.words},
                                    {"reference_words", counts.reference}};
    for (size_t n = 0; n < kOrder; ++n)
      out.push_back({fmt::format("precision_{}", n + 1),
                     counts.total[n] > 0 ? 100 * counts.matched[n] / counts.total[n] : 0.0});
    return out;
  }

 private:
  std::string variant_;
  NumberedCorpus corpus_;
};

}  // namespace

TextMetric text_metrics_list::bleu() {
  return {{"bleu", "Runs of 1 to 4 words shared with the references, 0 to 100.",
           default_visit<BleuOptions>()},
          "multi-bleu.perl, mteval-v13a.pl and sacreBLEU, by variant",
          true,
          [](const Json& options, const std::vector<TextSegment>& corpus) {
            return std::make_unique<Bleu>(parse<BleuOptions>(options, "/bleu"), corpus);
          }};
}

}  // namespace mtlora
