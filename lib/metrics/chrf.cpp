// chrF: with P and R the mean over n of the shares of an output's and of a reference's runs of n
// characters (n = 1 … 6, spaces left out; chrF++: and of n = 1, 2 words) that the other has too,
//   (1 + β²) P R / (β² P + R),  β = 2, times 100; of several references the one that scores best.
// Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"; Popović 2017,
// "chrF++: words helping character n-grams". Equal to sacreBLEU's chrF2 and chrF2++.

#include <algorithm>
#include <array>
#include <span>

#include "lib/metrics/ngrams.h"
#include "lib/metrics/score_text.h"

namespace mtlora {
namespace {

constexpr size_t kCharacters = 6;
constexpr double kBeta2 = 4;

struct ChrfOptions {
  int64_t word_order = 0;
  bool lowercase = false;
  void fields(Fields& f) {
    f("word_order", word_order, "Longest run of words that counts too: 0 is chrF, 2 is chrF++.",
      Rule<int64_t>{.holds = [](const int64_t& n) { return n >= 0 && n <= 6; },
                    .text = "from 0 to 6",
                    .schema = {{"minimum", 0}, {"maximum", 6}}});
    f("lowercase", lowercase, "Compare without case.");
  }
};

// The next six characters at each place of a text, zeros after its end, in order: runs of any
// length that are equal are neighbours.
using Run = std::array<char32_t, kCharacters>;
using SortedRuns = std::vector<Run>;

SortedRuns sorted_runs(const std::string& text) {
  std::u32string characters;
  for (const char32_t c : scoring::code_points(text))
    if (!scoring::is_space(c)) characters.push_back(c);
  SortedRuns runs(characters.size());
  for (size_t i = 0; i < runs.size(); ++i)
    for (size_t k = 0; k < kCharacters && i + k < characters.size(); ++k)
      runs[i][k] = characters[i + k];
  std::sort(runs.begin(), runs.end());
  return runs;
}

// How many runs of n characters two texts share, each as often as both have it.
double shared_runs(const SortedRuns& a, const SortedRuns& b, size_t n) {
  const auto compare = [n](const Run& x, const Run& y) {
    return std::lexicographical_compare_three_way(x.begin(), x.begin() + static_cast<long>(n),
                                                  y.begin(), y.begin() + static_cast<long>(n));
  };
  size_t shared = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i][n - 1] == 0) {  // too near the end for n
      ++i;
      continue;
    }
    const auto order = compare(a[i], b[j]);
    shared += order == 0 ? 1 : 0;
    i += order <= 0 ? 1 : 0;
    j += order >= 0 ? 1 : 0;
  }
  return static_cast<double>(shared);
}

double shared_words(const NgramCounts& a, const NgramCounts& b, size_t n) {
  int64_t shared = 0;
  for_each_shared(a, b, [&](const Ngram& ngram, int64_t here, int64_t there) {
    shared += ngram.size() == n ? std::min(here, there) : 0;
  });
  return static_cast<double>(shared);
}

// A mark at the end of a word, or else at its begin, is a word of its own.
std::vector<std::string> words(const std::string& text) {
  const auto is_mark = [](char c) {
    return (c > ' ' && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') ||
           (c > 'z' && c < 0x7f);
  };
  std::vector<std::string> out;
  for (const std::string& word : scoring::unicode_words_of(text)) {
    if (word.size() > 1 && is_mark(word.back())) {
      out.push_back(word.substr(0, word.size() - 1));
      out.push_back(word.substr(word.size() - 1));
    } else if (word.size() > 1 && is_mark(word.front())) {
      out.push_back(word.substr(0, 1));
      out.push_back(word.substr(1));
    } else {
      out.push_back(word);
    }
  }
  return out;
}

double f_score(std::span<const double> counts) {
  double precision = 0, recall = 0, orders = 0;
  for (size_t n = 0; n < counts.size(); n += 3) {
    if (counts[n] == 0 || counts[n + 1] == 0) continue;
    precision += counts[n + 2] / counts[n];
    recall += counts[n + 2] / counts[n + 1];
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  return 100 * (1 + kBeta2) * precision * recall / (kBeta2 * precision + recall);
}

// Statistics, for each n: runs of the output, runs of the reference, shared ones.
class Chrf final : public TextScorer {
 public:
  Chrf(const ChrfOptions& options, const std::vector<TextSegment>& corpus)
      : words_(static_cast<size_t>(options.word_order)),
        lowercase_(options.lowercase),
        texts_(corpus),
        corpus_(words_ > 0 ? corpus : std::vector<TextSegment>{},
                [&](const std::string& text) { return words(cased(text)); }) {}

  std::vector<double> statistics(size_t i) const override {
    const SortedRuns output = sorted_runs(cased(texts_[i].hypothesis));
    const NgramCounts output_words =
        words_ == 0 ? NgramCounts{} : count_ngrams(corpus_.segments[i].hypothesis, words_);
    std::vector<double> best;
    double best_score = -1;
    for (size_t r = 0; r < texts_[i].references.size(); ++r) {
      std::vector<double> counts;
      const SortedRuns reference = sorted_runs(cased(texts_[i].references[r]));
      for (size_t n = 1; n <= kCharacters; ++n)
        add(counts, runs(output.size(), n), runs(reference.size(), n),
            shared_runs(output, reference, n));
      if (words_ > 0) add_words(counts, i, r, output_words);
      const double score = f_score(counts);
      if (score <= best_score) continue;
      best_score = score;
      best = std::move(counts);
    }
    return best;
  }

  double score(const std::vector<double>& sum, size_t) const override { return f_score(sum); }

 private:
  std::string cased(const std::string& text) const {
    return lowercase_ ? scoring::lower_cased(text) : text;
  }

  static void add(std::vector<double>& counts, double output, double reference, double shared) {
    counts.insert(counts.end(), {reference == 0 ? 0 : output, reference, shared});
  }

  void add_words(std::vector<double>& counts, size_t i, size_t r, const NgramCounts& output) const {
    const auto& segment = corpus_.segments[i];
    const NgramCounts reference = count_ngrams(segment.references[r], words_);
    for (size_t n = 1; n <= words_; ++n)
      add(counts, runs(segment.hypothesis.size(), n), runs(segment.references[r].size(), n),
          shared_words(output, reference, n));
  }

  size_t words_;
  bool lowercase_;
  const std::vector<TextSegment>& texts_;
  NumberedCorpus corpus_;
};

}  // namespace

TextMetric text_metrics_list::chrf() {
  return {{"chrf", "F-score of runs of characters (chrF++: and of words), 0 to 100.",
           default_visit<ChrfOptions>()},
          "sacreBLEU's chrF2 and, with word_order 2, chrF2++",
          true,
          [](const Json& options, const std::vector<TextSegment>& corpus) {
            return std::make_unique<Chrf>(parse<ChrfOptions>(options, "/chrf"), corpus);
          }};
}

}  // namespace mtlora
