// Finished runs that repeat each other with other seeds, what tells such groups apart, and their
// mean and spread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/run/finished_run.h"

namespace mtlora {

/// Runs that differ in nothing but the seed, by seed.
struct RunGroup {
  std::vector<FinishedRun> runs;
  /// Of the comparison's options, what the runs of this group say; "–" for an option that its
  /// choice does not have.
  std::vector<std::string> settings;
};

struct Comparison {
  std::vector<std::string> options;   ///< in which at least two groups differ that both have it
  std::vector<RunGroup> groups;       ///< in the order of their first runs
  std::vector<std::string> repeated;  ///< what was left out: a seed that its group has already
};

Comparison compare_runs(std::vector<FinishedRun> runs);

/// Of one metric over the runs of a group; runs without it do not count.
struct Spread {
  size_t count = 0;
  double mean = 0;                  ///< NaN where one of them is undefined
  std::optional<double> deviation;  ///< the sample's standard deviation (n - 1); of two or more
};

Spread spread_of(const RunGroup& group, Outcome FinishedRun::*which, const std::string& metric);

/// The metrics of all runs, each once, in the order in which they are met.
std::vector<std::string> metrics_of(const Comparison& comparison, Outcome FinishedRun::*which);

/// The value of a metric, or nothing.
std::optional<double> score_of(const Outcome& outcome, const std::string& metric);

}  // namespace mtlora
