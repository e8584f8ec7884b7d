// compare: what finished runs came to, those that differ in the seed alone taken together.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/run/commands.h"
#include "lib/run/compare_text.h"
#include "lib/run/find_runs.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// Those of all paths, each folder once, by whatever names it was reached.
std::vector<fs::path> folders_of(const std::vector<std::string>& paths) {
  std::vector<fs::path> folders;
  std::set<fs::path> seen;
  for (const std::string& path : paths)
    for (const fs::path& folder : find_runs(path))
      if (seen.insert(fs::canonical(folder)).second) folders.push_back(folder);
  return folders;
}

struct ReadRuns {
  std::vector<FinishedRun> finished;
  size_t broken = 0;
};

ReadRuns read_runs(const std::vector<std::string>& paths) {
  ReadRuns runs;
  for (const fs::path& folder : folders_of(paths)) {
    if (!is_finished(folder)) {
      log::warn(fmt::format("{}: not finished, left out; train --resume goes on with it",
                            folder.string()));
      continue;
    }
    try {
      runs.finished.push_back(read_finished_run(folder));
    } catch (const Error& e) {
      ++runs.broken;
      log::warn(fmt::format("{}: left out: {}", folder.string(), e.what()));
    }
  }
  if (runs.finished.empty())
    fail("none of these runs is finished and can be read: there is nothing to compare");
  return runs;
}

Comparison compared(std::vector<FinishedRun> runs) {
  Comparison comparison = compare_runs(std::move(runs));
  for (const std::string& repeated : comparison.repeated) log::warn(repeated + "; left out");
  return comparison;
}

// All that there are, best's before those that only last has.
std::vector<std::string> all_metrics(const Comparison& comparison) {
  std::vector<std::string> metrics = metrics_of(comparison, &FinishedRun::best);
  for (const std::string& metric : metrics_of(comparison, &FinishedRun::last))
    if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end())
      metrics.push_back(metric);
  return metrics;
}

// Those that were asked for; or all but those of a split's parts, such as test.seen.bleu.
std::vector<std::string> chosen_metrics(const std::vector<std::string>& wanted,
                                        const std::vector<std::string>& known) {
  std::vector<std::string> chosen;
  for (const std::string& text : wanted) {
    const std::string name = text.substr(std::min(text.find_first_not_of(' '), text.size()));
    if (std::find(known.begin(), known.end(), name) == known.end())
      fail("--metrics: {}", unknown("metric of these runs", name, known));
    if (std::find(chosen.begin(), chosen.end(), name) == chosen.end()) chosen.push_back(name);
  }
  if (!wanted.empty()) return chosen;
  for (const std::string& name : known)
    if (std::count(name.begin(), name.end(), '.') < 2) chosen.push_back(name);
  return chosen;
}

Json spreads_json(const RunGroup& group, Outcome FinishedRun::*which,
                  const std::vector<std::string>& metrics) {
  Json out = Json::object();
  for (const std::string& metric : metrics) {
    const Spread spread = spread_of(group, which, metric);
    if (spread.count == 0) continue;
    out[metric] = {{"mean", spread.mean},
                   {"deviation", spread.deviation ? Json(*spread.deviation) : Json()},
                   {"runs", spread.count}};
  }
  return out;
}

Json outcome_json(const Outcome& outcome, const std::vector<std::string>& metrics) {
  Json scores = Json::object();
  for (const std::string& metric : metrics)
    if (const auto value = score_of(outcome, metric)) scores[metric] = *value;
  return {{"step", outcome.step}, {"metrics", scores}};
}

Json group_json(const Comparison& comparison, const RunGroup& group,
                const std::vector<std::string>& metrics) {
  Json options = Json::object(), runs = Json::array();
  for (size_t i = 0; i < comparison.options.size(); ++i)
    options[comparison.options[i]] = group.settings[i];
  for (const FinishedRun& run : group.runs)
    runs.push_back({{"folder", run.folder.string()},
                    {"seed", run.seed},
                    {"best", outcome_json(run.best, metrics)},
                    {"last", outcome_json(run.last, metrics)}});
  return {{"options", options},
          {"trained_parameters", group.runs.front().trained_parameters},
          {"best", spreads_json(group, &FinishedRun::best, metrics)},
          {"last", spreads_json(group, &FinishedRun::last, metrics)},
          {"runs", runs}};
}

}  // namespace

int compare(const CompareRequest& request) {
  ReadRuns runs = read_runs(request.paths);
  const int code = runs.broken > 0 ? 1 : 0;
  const Comparison comparison = compared(std::move(runs.finished));
  const std::vector<std::string> known = all_metrics(comparison);
  if (!request.json) {
    fmt::print("{}", comparison_text(comparison, chosen_metrics(request.metrics, known)));
    return code;
  }
  const auto metrics = request.metrics.empty() ? known : chosen_metrics(request.metrics, known);
  Json groups = Json::array();
  for (const RunGroup& group : comparison.groups)
    groups.push_back(group_json(comparison, group, metrics));
  fmt::print("{}\n", Json({{"groups", groups}}).dump());
  return code;
}

}  // namespace mtlora
