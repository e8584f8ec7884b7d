#include "lib/metrics/score.h"

#include <algorithm>
#include <set>

#include "lib/core/error.h"
#include "lib/metrics/ptb_tokens.h"
#include "lib/metrics/score_text.h"
#include "lib/metrics/score_threads.h"

namespace mtlora {
namespace {

template <class Change>
std::vector<TextSegment> changed(const std::vector<TextSegment>& segments, const Change& change,
                                 size_t threads) {
  std::vector<TextSegment> out = segments;
  const auto each = [&](size_t i) {
    out[i].hypothesis = change(out[i].hypothesis);
    for (std::string& reference : out[i].references) reference = change(reference);
  };
  parallel_for(out.size(), each, threads);
  return out;
}

std::string normalized(const std::string& text, const ScoreOptions& options) {
  std::string out = options.lowercase ? scoring::lower_cased(text) : text;
  return options.tokenize ? scoring::split_at_non_words(out) : out;
}

std::string joined_ptb_words(const std::string& text) {
  return fmt::format("{}", fmt::join(ptb_words(text), " "));
}

void check(const std::vector<TextSegment>& segments) {
  if (segments.empty()) fail("there is nothing to score: no output");
  Problems problems;
  for (size_t i = 0; i < segments.size(); ++i)
    if (segments[i].references.empty())
      problems.add(fmt::format("output {} has no reference", i + 1));
  problems.raise();
}

/// A metric, and what it works on.
struct Started {
  std::vector<TextSegment> segments;  ///< empty: the corpus as the other metrics see it
  std::unique_ptr<TextScorer> scorer;
};

// In place: the scorer may look at `started.segments` again.
void start_metric(const ScoredMetric& choice, const std::vector<TextSegment>& segments,
                  Started& started) {
  if (choice.is_ptb) started.segments = changed(segments, joined_ptb_words, 1);
  started.scorer =
      text_metric(choice.name).start(choice.options, choice.is_ptb ? started.segments : segments);
}

MetricScore score_metric(const ScoredMetric& choice, const TextScorer& scorer,
                         const std::vector<TextSegment>& segments, const ScoreOptions& options) {
  const TextMetric& metric = text_metric(choice.name);
  std::vector<std::vector<double>> statistics(segments.size());
  parallel_for(
      segments.size(), [&](size_t i) { statistics[i] = scorer.statistics(i); }, options.threads);
  std::vector<double> sum(statistics.front().size(), 0.0);
  for (const auto& s : statistics)
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += s[k];
  MetricScore out{.label = choice.label,
                  .name = choice.name,
                  .options = write_options(metric.visit),
                  .score = scorer.score(sum, segments.size()),
                  .details = scorer.details(sum, segments.size()),
                  .note = scorer.note(),
                  .interval = {},
                  .segments = {}};
  out.options.update(choice.options);
  if (options.segments)
    for (const auto& s : statistics) out.segments.push_back(scorer.score(s, 1));
  if (options.bootstrap > 0)
    out.interval = bootstrap(scorer, statistics,
                             {.samples = options.bootstrap,
                              .seed = options.seed,
                              .confidence = 0.95,
                              .threads = options.threads});
  return out;
}

Json metric_json(const MetricScore& metric) {
  Json out = {{"score", metric.score}};
  for (const NamedNumber& detail : metric.details) out[detail.name] = detail.value;
  if (metric.interval) out["interval_95"] = {metric.interval->low, metric.interval->high};
  if (!metric.note.empty()) out["note"] = metric.note;
  if (metric.label != metric.name) out["metric"] = metric.name;
  if (!metric.options.empty()) out["options"] = metric.options;
  if (!metric.segments.empty()) out["segments"] = metric.segments;
  return out;
}

}  // namespace

ScoreReport score_texts(const std::vector<TextSegment>& segments, const ScoreOptions& options) {
  check(segments);
  ScoreReport report{.metrics = {},
                     .segments = segments.size(),
                     .lowercase = options.lowercase,
                     .tokenize = options.tokenize,
                     .bootstrap = options.bootstrap,
                     .seed = options.seed,
                     .missing_reference = ""};
  for (const TextSegment& segment : segments) {
    report.references += segment.references.size();
    report.empty_references += segment.empty_references;
    report.empty_hypotheses += scoring::unicode_words_of(segment.hypothesis).empty() ? 1 : 0;
  }
  if (report.empty_references > 0) report.missing_reference = "empty";
  const auto normalize = [&](const std::string& text) { return normalized(text, options); };
  const std::vector<TextSegment> texts = changed(segments, normalize, options.threads);
  std::set<std::string> labels = {"corpus"};
  for (const ScoredMetric& metric : options.metrics)
    if (!labels.insert(metric.label).second) fail("the metric \"{}\" is named twice", metric.label);
  // What a metric counts over the whole corpus, or reads from a file, is the work of one thread.
  std::vector<Started> started(options.metrics.size());
  parallel_for(
      started.size(), [&](size_t i) { start_metric(options.metrics[i], texts, started[i]); },
      options.threads, 1);
  for (size_t i = 0; i < started.size(); ++i)
    report.metrics.push_back(score_metric(options.metrics[i], *started[i].scorer, texts, options));
  return report;
}

Json ScoreReport::json() const {
  Json out = Json::object();
  for (const MetricScore& metric : metrics) out[metric.label] = metric_json(metric);
  Json corpus = {{"segments", segments},
                 {"references", references},
                 {"empty_hypotheses", empty_hypotheses},
                 {"lowercase", lowercase},
                 {"tokenize", tokenize}};
  if (!missing_reference.empty()) corpus["missing_reference"] = missing_reference;
  if (bootstrap > 0) corpus["bootstrap"] = {{"samples", bootstrap}, {"seed", seed}};
  out["corpus"] = corpus;
  return out;
}

std::string ScoreReport::table() const {
  size_t width = 10;
  for (const MetricScore& metric : metrics) width = std::max(width, metric.label.size());
  std::string out;
  for (const MetricScore& metric : metrics) {
    out += fmt::format("{:<{}}  {:8.4f}", metric.label, width, metric.score);
    if (metric.interval)
      out += fmt::format("  95 %: {:.4f} to {:.4f}", metric.interval->low, metric.interval->high);
    if (!metric.note.empty()) out += fmt::format("  ({})", metric.note);
    out += '\n';
  }
  out += fmt::format("{:<{}}  {} outputs, {} references", "corpus", width, segments, references);
  if (empty_hypotheses > 0) out += fmt::format(", {} outputs without a word", empty_hypotheses);
  if (!missing_reference.empty())
    out += missing_reference == "first" ? ", missing references repeat the first"
           : missing_reference == "none"
               ? ", missing references do not count"
               : fmt::format(", {} missing references count as empty lines", empty_references);
  return out + '\n';
}

ScoredMetric parse_scored_metric(const std::string& text) {
  const size_t colon = text.find(':');
  ScoredMetric out{.label = text, .name = text.substr(0, colon)};
  std::vector<std::string> known;
  for (const TextMetric& metric : text_metrics()) known.push_back(metric.name);
  known.emplace_back("chrf++");
  if (std::find(known.begin(), known.end(), out.name) == known.end())
    throw Error(unknown("text metric", out.name, known));
  if (out.name == "chrf++") {
    out.name = "chrf";
    out.options["word_order"] = 2;
  }
  for (size_t at = colon; at != std::string::npos;) {
    const size_t end = text.find(':', at + 1);
    const std::string option = text.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    if (option.find('=') == std::string::npos)
      fail("{}: expected NAME:OPTION=VALUE, such as bleu:variant=multi-bleu", text);
    set_option(out.options, option);
    at = end;
  }
  return out;
}

void set_meteor_data(ScoredMetric& meteor, const std::string& data) {
  Json& options = meteor.options;
  if (!data.empty()) options["data"] = data;
  const bool names_modules = options.contains("modules") && !options["modules"].empty();
  if (!options.contains("data") && !names_modules) options["modules"] = {"exact", "stem"};
}

ScoreOptions score_preset(std::string_view task, const std::string& meteor_data) {
  ScoredMetric meteor{"meteor", "meteor", Json::object(), task == "e2e"};
  set_meteor_data(meteor, meteor_data);
  ScoreOptions out;
  if (task == "e2e") {
    out.metrics = {{"bleu", "bleu", {{"variant", "mteval-v13a"}}},
                   {"nist", "nist", {{"variant", "perl"}}},
                   meteor,
                   {"rouge_l", "rouge_l"},
                   {"cider", "cider"}};
    return out;
  }
  const std::vector<std::string> tasks = {"e2e", "webnlg", "dart"};
  if (task != "webnlg" && task != "dart") fail("{}", unknown("task", task, tasks));
  out.metrics = {{"bleu", "bleu", {{"variant", "multi-bleu"}}}, meteor, {"ter", "ter"}};
  out.lowercase = out.tokenize = true;
  return out;
}

}  // namespace mtlora
