#include "lib/run/run_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace mtlora {
namespace {

const Setting* find(const RunGroup& group, const std::string& option) {
  const std::vector<Setting>& settings = group.runs.front().settings;
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const Setting& s) { return s.option == option; });
  return found == settings.end() ? nullptr : &*found;
}

// Of the groups that have the option; a choice of another name has other options.
bool differs(const std::vector<RunGroup>& groups, const std::string& option) {
  const Setting* first = nullptr;
  for (const RunGroup& group : groups)
    if (const Setting* setting = find(group, option)) {
      if (first && setting->identity != first->identity) return true;
      first = setting;
    }
  return false;
}

// Two that lie in the same place, or are called alike, and are not the same, by their hashes.
bool is_ambiguous(const std::vector<RunGroup>& groups, const Setting& setting) {
  return std::any_of(groups.begin(), groups.end(), [&](const RunGroup& group) {
    const Setting* other = find(group, setting.option);
    return other && other->shown == setting.shown && other->identity != setting.identity;
  });
}

std::string shown(const std::vector<RunGroup>& groups, const Setting* setting) {
  if (!setting) return "–";
  if (setting->detail.empty() || !is_ambiguous(groups, *setting)) return setting->shown;
  return fmt::format("{} ({})", setting->shown, setting->detail);
}

bool has_same_scores(const FinishedRun& a, const FinishedRun& b) {
  const auto is_same = [](const auto& x, const auto& y) {
    const bool is_undefined = std::isnan(x.second) && std::isnan(y.second);
    return x.first == y.first && (x.second == y.second || is_undefined);
  };
  const auto are_same = [&](const Scores& x, const Scores& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), is_same);
  };
  return are_same(a.best.scores, b.best.scores) && are_same(a.last.scores, b.last.scores);
}

void sort_by_seed(RunGroup& group, std::vector<std::string>& repeated) {
  std::stable_sort(group.runs.begin(), group.runs.end(),
                   [](const FinishedRun& a, const FinishedRun& b) { return a.seed < b.seed; });
  const auto is_repeated = [&](const FinishedRun& first, const FinishedRun& again) {
    if (first.seed != again.seed) return false;
    repeated.push_back(fmt::format("{}: the run of {} again, seed {}{}", again.folder.string(),
                                   first.folder.string(), first.seed,
                                   has_same_scores(first, again) ? "" : ", with other scores"));
    return true;
  };
  group.runs.erase(std::unique(group.runs.begin(), group.runs.end(), is_repeated),
                   group.runs.end());
}

}  // namespace

Comparison compare_runs(std::vector<FinishedRun> runs) {
  Comparison all;
  std::map<std::string, size_t> places;
  for (FinishedRun& run : runs) {
    const auto [place, is_new] = places.emplace(key_of(run.settings), all.groups.size());
    if (is_new) all.groups.emplace_back();
    all.groups[place->second].runs.push_back(std::move(run));
  }
  for (RunGroup& group : all.groups) sort_by_seed(group, all.repeated);

  for (const RunGroup& group : all.groups)
    for (const Setting& setting : group.runs.front().settings)
      if (differs(all.groups, setting.option) &&
          std::find(all.options.begin(), all.options.end(), setting.option) == all.options.end())
        all.options.push_back(setting.option);
  for (RunGroup& group : all.groups)
    for (const std::string& option : all.options)
      group.settings.push_back(shown(all.groups, find(group, option)));
  return all;
}

std::optional<double> score_of(const Outcome& outcome, const std::string& metric) {
  for (const auto& [name, value] : outcome.scores)
    if (name == metric) return value;
  return std::nullopt;
}

Spread spread_of(const RunGroup& group, Outcome FinishedRun::*which, const std::string& metric) {
  std::vector<double> values;
  for (const FinishedRun& run : group.runs)
    if (const auto value = score_of(run.*which, metric)) values.push_back(*value);
  Spread spread{values.size(), std::numeric_limits<double>::quiet_NaN(), std::nullopt};
  if (values.empty()) return spread;
  double sum = 0;
  for (const double value : values) sum += value;
  spread.mean = sum / static_cast<double>(values.size());
  if (values.size() == 1 || std::isnan(spread.mean)) return spread;
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  spread.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return spread;
}

std::vector<std::string> metrics_of(const Comparison& comparison, Outcome FinishedRun::*which) {
  std::vector<std::string> names;
  for (const RunGroup& group : comparison.groups)
    for (const FinishedRun& run : group.runs)
      for (const auto& [name, value] : (run.*which).scores)
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

}  // namespace mtlora
