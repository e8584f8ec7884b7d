// NIST: runs of 1 to 5 words that are found in a reference, weighted by how much they say:
//   Σ_n [Σ_matched info(w_1 … w_n) / t_n] · exp(β log² min(1, L / L̄)),
//   info(w_1 … w_n) = log₂ (count(w_1 … w_n-1) / count(w_1 … w_n)) over all references,
// t_n runs of n words in the outputs, L words of output, L̄ of reference, β = log ½ / log² 1.5.
// Doddington 2002, "Automatic evaluation of machine translation quality using n-gram co-occurrence
// statistics". The scripts differ in L̄: mteval-v13a.pl takes the mean length of all references of
// the corpus for every input, its Python port in e2e-metrics each input's own mean.

#include <algorithm>
#include <cmath>

#include "lib/metrics/ngrams.h"
#include "lib/metrics/score_text.h"
#include "lib/metrics/tokenize_13a.h"

namespace mtlora {
namespace {

constexpr size_t kOrder = 5;

struct NistOptions {
  std::string variant = "perl";
  void fields(Fields& f) {
    f("variant", variant,
      "The script whose number it is: perl (mteval-v13a.pl, the published one) or python (the port "
      "in e2e-metrics); they differ in the length penalty where inputs differ in references, and "
      "in the lower case of letters beyond A to Z.",
      one_of({"perl", "python"}));
  }
};

double length_penalty(double ratio) {
  if (ratio >= 1) return 1;
  if (ratio <= 0) return 0;
  const double beta = std::log(0.5) / std::pow(std::log(1.5), 2);
  return std::exp(beta * std::pow(std::log(ratio), 2));
}

// Statistics: the information matched and the runs of each n, then the words of the references
// and the references that they are of.
class Nist final : public TextScorer {
 public:
  Nist(const NistOptions& options, const std::vector<TextSegment>& corpus)
      : is_perl_(options.variant == "perl"), corpus_(corpus, [this](const std::string& text) {
          using namespace scoring;
          return tokenize_13a(is_perl_ ? ascii_lower_cased(text) : lower_cased(text));
        }) {
    for (const auto& segment : corpus_.segments) {
      for (const WordIds& reference : segment.references) {
        words_ += static_cast<int64_t>(reference.size());
        for (const auto& [ngram, count] : count_ngrams(reference, kOrder)) counts_[ngram] += count;
      }
    }
  }

  std::vector<double> statistics(size_t i) const override {
    const auto& segment = corpus_.segments[i];
    std::vector<double> out(2 * kOrder + 2, 0.0);
    for (const WordIds& reference : segment.references)
      out[2 * kOrder] += static_cast<double>(reference.size());
    out.back() = static_cast<double>(segment.references.size());
    if (!is_perl_) {  // one reference of mean length
      out[2 * kOrder] /= out.back();
      out.back() = 1;
    }
    for_each_shared(
        count_ngrams(segment.hypothesis, kOrder), largest_counts(segment.references, kOrder),
        [&](const Ngram& ngram, int64_t here, int64_t there) {
          out[ngram.size() - 1] += information(ngram) * static_cast<double>(std::min(here, there));
        });
    for (size_t n = 1; n <= kOrder; ++n) out[kOrder + n - 1] = runs(segment.hypothesis.size(), n);
    return out;
  }

  double score(const std::vector<double>& sum, size_t segments) const override {
    if (sum[kOrder] == 0) return 0;  // not a word
    double matched = 0;
    for (size_t n = 0; n < kOrder; ++n) matched += sum[n] / std::max(1.0, sum[kOrder + n]);
    const double mean_words = sum[2 * kOrder] / sum.back();
    return matched * length_penalty(sum[kOrder] / (mean_words * static_cast<double>(segments)));
  }

 private:
  double information(const Ngram& ngram) const {
    const Ngram prefix = ngram.prefix();
    const int64_t before = prefix.size() == 0 ? words_ : counts_.at(prefix);
    return std::log2(static_cast<double>(before) / static_cast<double>(counts_.at(ngram)));
  }

  bool is_perl_;
  NumberedCorpus corpus_;
  NgramMap<int64_t> counts_;
  int64_t words_ = 0;
};

}  // namespace

TextMetric text_metrics_list::nist() {
  return {{"nist", "Runs of 1 to 5 words shared with the references, rare ones count more.",
           default_visit<NistOptions>()},
          "mteval-v13a.pl, or the Python port in e2e-metrics, by variant",
          true,
          [](const Json& options, const std::vector<TextSegment>& corpus) {
            return std::make_unique<Nist>(parse<NistOptions>(options, "/nist"), corpus);
          }};
}

}  // namespace mtlora
