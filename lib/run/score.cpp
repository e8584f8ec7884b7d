// score: how good generated texts in a file are, against references in files. It needs no model.

#include "lib/metrics/score.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/core/error.h"
#include "lib/metrics/score_files.h"
#include "lib/run/commands.h"

namespace mtlora {
namespace {

std::string without_blanks_around(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

// "bleu, meteor:modules=["exact","stem"]" at its commas; those within brackets belong to a value.
std::vector<std::string> split_metrics(const std::string& list) {
  std::vector<std::string> metrics(1);
  int depth = 0;
  for (const char c : list) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (c == ',' && depth == 0)
      metrics.emplace_back();
    else
      metrics.back() += c;
  }
  for (std::string& metric : metrics) metric = without_blanks_around(metric);
  return metrics;
}

[[noreturn]] void fail_list(const std::string& text) {
  fail("--metrics {}: modules are a list: 'meteor:modules=[\"exact\",\"stem\"]'", text);
}

// Without the shell's quotes a list loses its own, and is no JSON.
ScoredMetric parsed(const std::string& text) {
  try {
    return parse_scored_metric(text);
  } catch (const Error&) {
    if (text.starts_with("meteor:modules=[")) fail_list(text);
    throw;
  }
}

ScoredMetric metric_of(const std::string& text, const std::string& meteor_data) {
  ScoredMetric metric = parsed(text);
  if (metric.name != "meteor") return metric;
  // Without brackets a list ends at its first comma.
  if (metric.options.contains("modules") && !metric.options["modules"].is_array()) fail_list(text);
  set_meteor_data(metric, meteor_data);
  return metric;
}

ScoreOptions options_of(const ScoreRequest& request) {
  require_one_of({"--metrics NAME,…", !request.metrics.empty()},
                 {"--task e2e|webnlg|dart", !request.task.empty()});
  ScoreOptions options;
  if (!request.task.empty()) options = score_preset(request.task, request.meteor_data);
  for (const std::string& list : request.metrics)
    for (const std::string& metric : split_metrics(list))
      options.metrics.push_back(metric_of(metric, request.meteor_data));
  const bool has_meteor = std::any_of(options.metrics.begin(), options.metrics.end(),
                                      [](const ScoredMetric& m) { return m.name == "meteor"; });
  if (!request.meteor_data.empty() && !has_meteor)
    throw UsageError("--meteor-data is given, but METEOR is none of the metrics");
  options.lowercase |= request.lowercase;
  options.tokenize |= request.tokenize;
  options.segments = request.segments;
  options.bootstrap = request.bootstrap;
  options.seed = static_cast<uint64_t>(request.seed);
  return options;
}

void print_table(const ScoreReport& report) {
  fmt::print("{}", report.table());
  for (size_t i = 0; i < report.segments; ++i)
    for (const MetricScore& metric : report.metrics)
      if (i < metric.segments.size())
        fmt::print("{} {} {:.4f}\n", i + 1, metric.label, metric.segments[i]);
}

}  // namespace

void score(const ScoreRequest& request) {
  const ScoreOptions options = options_of(request);
  const ScoreCorpus corpus =
      read_score_files({request.hypotheses, request.references, request.missing_reference});
  ScoreReport report = score_texts(corpus.segments, options);
  if (corpus.missing_references > 0)
    report.missing_reference =
        request.missing_reference.empty() ? "empty" : request.missing_reference;
  if (request.json)
    fmt::print("{}\n", report.json().dump());
  else
    print_table(report);
}

}  // namespace mtlora
