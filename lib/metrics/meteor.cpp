// METEOR 1.5 for English: with the matches m of an alignment weighted by matcher w and by kind of
// word (delta content, 1 - delta function), precision P = Σ m w / words of the output, recall R
// likewise of the reference,
//   F = 1 / ((1 - alpha) / P + alpha / R),  penalty = gamma (chunks / matches)^beta,
//   score = F (1 - penalty), of the reference that scores best; the sums for a whole corpus.
// Denkowski, Lavie 2014, "Meteor Universal: Language Specific Translation Evaluation for Any Target
// Language"; equal to meteor-1.5.jar -l en (-norm), task rank, where all four matchers are at work.

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/core/error.h"
#include "lib/metrics/meteor_align.h"
#include "lib/metrics/meteor_lexicon.h"
#include "lib/metrics/text_metric.h"

namespace mtlora {
namespace {

struct Options {
  std::optional<std::string> data;
  std::vector<std::string> modules;
  std::string normalize = "full";
  bool punctuation = true;
  double alpha = 0.85, beta = 0.2, gamma = 0.6, delta = 0.75;
  double exact_weight = 1, stem_weight = 0.6, synonym_weight = 0.8, paraphrase_weight = 0.6;
  int64_t beam = 40;

  void fields(Fields& f) {
    f("data", data,
      "folder of METEOR 1.5's resources, as scripts/fetch_meteor makes it: function/english.words, "
      "nonbreaking/english.prefixes, synonym/english.{synsets,exceptions}, paraphrase-en.gz; "
      "without it there are no function words, abbreviations, synonyms and paraphrases, and scores "
      "are not METEOR 1.5's",
      not_empty());
    f("modules", modules,
      "matchers, of exact, stem, synonym, paraphrase; []: all that the data serve");
    f("normalize", normalize,
      "full: split punctuation off and lower-case (-norm); lower: lower-case only (-lower); none",
      one_of({"full", "lower", "none"}));
    f("punctuation", punctuation, "false: leave punctuation out (-noPunct, with normalize full)");
    f("alpha", alpha, "weight of recall against precision", between(0, 1));
    f("beta", beta, "exponent of the fragmentation", not_negative());
    f("gamma", gamma, "most that fragmentation takes away", between(0, 1));
    f("delta", delta, "weight of content words against function words", between(0, 1));
    f("exact_weight", exact_weight, "weight of exact matches", not_negative());
    f("stem_weight", stem_weight, "weight of stem matches", not_negative());
    f("synonym_weight", synonym_weight, "weight of synonym matches", not_negative());
    f("paraphrase_weight", paraphrase_weight, "weight of paraphrase matches", not_negative());
    f("beam", beam, "beam of the alignment", within(1, 1'000'000));
  }

  double weight(const std::string& module) const {
    return module == "exact"     ? exact_weight
           : module == "stem"    ? stem_weight
           : module == "synonym" ? synonym_weight
                                 : paraphrase_weight;
  }
};

/// Places of what is summed: these, then four counts a module, then the sums that `count` adds.
enum Place : size_t {
  test_words,
  reference_words,
  test_function,
  reference_function,
  chunks,
  first_module
};
enum Count : size_t {
  test_content,
  test_function_matches,
  reference_content,
  reference_function_matches,
  counts
};

struct Score {
  double precision = 0, recall = 0, f_mean = 0, penalty = 0, score = 0;
};

class Meteor final : public TextScorer {
 public:
  Meteor(const Options& options, const std::vector<TextSegment>& corpus)
      : options_(options), modules_(modules_of(options)), lexicon_(lexicon_options()) {
    for (const TextSegment& segment : corpus) {
      segments_.push_back({.hypothesis = lexicon_.encode(segment.hypothesis), .references = {}});
      for (const auto& text : segment.references) {
        segments_.back().references.push_back(lexicon_.encode(text));
      }
    }
    lexicon_.read_paraphrases();
  }

  std::vector<double> statistics(size_t i) const override {
    const Segment& segment = segments_.at(i);
    std::vector<double> best;
    double best_score = -1;
    for (const auto& reference : segment.references) {
      std::vector<double> now = compare(segment.hypothesis, reference);
      const double its_score = metrics(now).score;
      if (its_score > best_score) best_score = its_score, best = std::move(now);
    }
    return best;
  }

  double score(const std::vector<double>& sum, size_t) const override { return metrics(sum).score; }

  std::string note() const override {
    const auto& all = MeteorLexicon::known_modules();
    if (std::is_permutation(modules_.begin(), modules_.end(), all.begin(), all.end())) return "";
    return fmt::format("by {} only: not METEOR 1.5's score (its data: scripts/fetch_meteor)",
                       fmt::join(modules_, ", "));
  }

  std::vector<NamedNumber> details(const std::vector<double>& sum, size_t) const override {
    const Score s = metrics(sum);
    std::vector<NamedNumber> out = {{"precision", s.precision},
                                    {"recall", s.recall},
                                    {"f_mean", s.f_mean},
                                    {"fragmentation_penalty", s.penalty},
                                    {"chunks", sum[chunks]},
                                    {"words", sum[test_words]},
                                    {"reference_words", sum[reference_words]}};
    for (size_t m = 0; m < modules_.size(); ++m) {
      const double* count = &sum[first_module + m * counts];
      out.push_back({modules_[m] + "_matches", count[test_content] + count[test_function_matches]});
    }
    return out;
  }

 private:
  using Words = std::vector<int>;
  struct Segment {
    Words hypothesis;
    std::vector<Words> references;
  };

  static std::vector<std::string> modules_of(const Options& options) {
    if (!options.modules.empty()) return options.modules;
    return options.data ? MeteorLexicon::modules_of(*options.data) : MeteorLexicon::known_modules();
  }

  MeteorLexicon::Options lexicon_options() const {
    using Normalize = MeteorWords::Normalize;
    MeteorLexicon::Options out;
    if (options_.data) out.data = *options_.data;
    out.modules = modules_;
    out.words.normalize = options_.normalize == "full"    ? Normalize::full
                          : options_.normalize == "lower" ? Normalize::lower
                                                          : Normalize::none;
    out.words.punctuation = options_.punctuation;
    return out;
  }

  std::vector<double> compare(const Words& test, const Words& reference) const {
    std::vector<double> out(first_module + counts * modules_.size());
    out[test_words] = static_cast<double>(test.size());
    out[reference_words] = static_cast<double>(reference.size());
    for (const int word : test) out[test_function] += lexicon_.is_function_word(word) ? 1 : 0;
    for (const int word : reference) {
      out[reference_function] += lexicon_.is_function_word(word) ? 1 : 0;
    }
    const MeteorAlignment alignment =
        meteor_align(lexicon_.candidates(test, reference), static_cast<int>(options_.beam));
    double test_total = 0, reference_total = 0;
    for (const auto& match : alignment.matches) {
      if (!match) continue;
      double* count = &out[first_module + static_cast<size_t>(match->module) * counts];
      test_total += match->test_words, reference_total += match->reference_words;
      for (int k = 0; k < match->test_words; ++k) {
        const bool function = lexicon_.is_function_word(test[static_cast<size_t>(match->test + k)]);
        ++count[function ? test_function_matches : test_content];
      }
      for (int k = 0; k < match->reference_words; ++k) {
        const bool function =
            lexicon_.is_function_word(reference[static_cast<size_t>(match->reference + k)]);
        ++count[function ? reference_function_matches : reference_content];
      }
    }
    // One chunk of everything is no fragment: METEOR leaves it out of a corpus's sum as well.
    const bool whole = test_total == out[test_words] && reference_total == out[reference_words] &&
                       alignment.chunks == 1;
    out[chunks] = whole ? 0 : alignment.chunks;
    return out;
  }

  /// The sums are added in METEOR's order, so that scores are equal to the last digit.
  Score metrics(const std::vector<double>& sum) const {
    const double content = options_.delta, function = 1.0 - options_.delta;
    const size_t modules = modules_.size();
    double test_weighted = 0, reference_weighted = 0, test_total = 0, reference_total = 0;
    for (const bool of_content : {true, false}) {
      for (size_t m = 0; m < modules; ++m) {
        const double* count = &sum[first_module + m * counts];
        const double test = count[of_content ? test_content : test_function_matches];
        const double reference = count[of_content ? reference_content : reference_function_matches];
        const double weight = options_.weight(modules_[m]);
        test_weighted += test * weight * (of_content ? content : function);
        reference_weighted += reference * weight * (of_content ? content : function);
        test_total += test;
        reference_total += reference;
      }
    }
    const auto weighted_length = [&](double words, double function_words) {
      return content * (words - function_words) + function * function_words;
    };
    Score out;
    out.precision = test_weighted / weighted_length(sum[test_words], sum[test_function]);
    out.recall =
        reference_weighted / weighted_length(sum[reference_words], sum[reference_function]);
    out.f_mean = 1.0 / ((1.0 - options_.alpha) / out.precision + options_.alpha / out.recall);
    const double fragmentation = sum[chunks] / ((test_total + reference_total) / 2);
    out.penalty = options_.gamma * std::pow(fragmentation, options_.beta);
    const double score = out.f_mean * (1.0 - out.penalty);
    out.score = std::isnan(score) ? 0 : std::max(score, 0.0);  // nothing matches: 0 / 0
    return out;
  }

  Options options_;
  std::vector<std::string> modules_;
  MeteorLexicon lexicon_;
  std::vector<Segment> segments_;
};

}  // namespace

TextMetric text_metrics_list::meteor() {
  TextMetric metric;
  metric.name = "meteor";
  metric.summary =
      "METEOR 1.5, English: words matched as they are, by stem, by WordNet synonym and by "
      "paraphrase "
      "(which need the option data), with a penalty for scattered matches";
  metric.visit = default_visit<Options>();
  metric.source = "meteor-1.5.jar -l en -norm";
  metric.start = [](const Json& options, const std::vector<TextSegment>& corpus) {
    return std::make_unique<Meteor>(parse<Options>(options), corpus);
  };
  return metric;
}

}  // namespace mtlora
