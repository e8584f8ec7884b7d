// Scores of generated text: segments and a list of metrics in, one report out. Training calls
// score_texts() on what it generated; `mtlora score` reads files first (score_files.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/json.h"
#include "lib/metrics/bootstrap.h"
#include "lib/metrics/text_metric.h"

namespace mtlora {

/// A metric with its options, under the name that it has in a report.
struct ScoredMetric {
  std::string label, name;
  Json options = Json::object();
  bool is_ptb = false;  ///< it reads ptb_words() of the texts, as METEOR does within COCO's scorers
};

struct ScoreOptions {
  std::vector<ScoredMetric> metrics;
  bool lowercase = false;  ///< all texts in lower case
  bool tokenize = false;   ///< every character that is no word character apart, after lower-casing
  bool segments = false;   ///< report every segment's score
  int64_t bootstrap = 0;   ///< samples of the confidence interval; 0: none
  uint64_t seed = 0;
  size_t threads = 0;  ///< 0: the cores; the result does not depend on it
};

struct MetricScore {
  std::string label;
  std::string name;  ///< of the metric
  Json options;      ///< all of them
  double score = 0;
  std::vector<NamedNumber> details;
  std::string note;                  ///< TextScorer::note()
  std::optional<Interval> interval;  ///< 95 %
  std::vector<double> segments;      ///< each scored as if it were the corpus; empty unless asked
};

struct ScoreReport {
  std::vector<MetricScore> metrics;
  size_t segments = 0, references = 0, empty_references = 0, empty_hypotheses = 0;
  bool lowercase = false, tokenize = false;
  int64_t bootstrap = 0;
  uint64_t seed = 0;
  std::string missing_reference;  ///< how references that were missing counted; "": none was

  /// {"bleu": {"score": …, details…, "options": {…}}, …, "corpus": {"segments": …, …}}
  Json json() const;
  /// A line a metric.
  std::string table() const;
};

/// Throws Error where there is no segment, a segment has no reference, or a metric's options are
/// wrong.
ScoreReport score_texts(const std::vector<TextSegment>& segments, const ScoreOptions& options);

/// "bleu", "chrf++" or "bleu:variant=multi-bleu:lowercase=true". Throws Error for names that are
/// not known, and for what is no NAME:OPTION=VALUE.
ScoredMetric parse_scored_metric(const std::string& text);

/// Gives METEOR its folder of resources, "" for none. Where its options name neither that nor
/// modules, it goes by those that need no data, as its note says.
void set_meteor_data(ScoredMetric& meteor, const std::string& data);

/// What the papers report of e2e, webnlg and dart: metrics with their options, lower case and
/// tokenization. `meteor_data` is METEOR's folder of resources, "" for none. Throws Error for
/// another name.
ScoreOptions score_preset(std::string_view task, const std::string& meteor_data);

}  // namespace mtlora
