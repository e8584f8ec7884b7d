// Metrics: predictions and labels in, one number out. Each is a file of this folder and a line of
// metrics.def.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// What a model said about labelled examples, and the truth. A classifier fills `classes`, a
/// regressor `values`; either is as long as `labels`.
struct Predictions {
  std::vector<int64_t> classes;  ///< predicted class index
  std::vector<double> values;    ///< predicted score
  std::vector<double> labels;    ///< class index, or the true score
};

struct Metric {
  enum class Needs { classes, two_classes, values };

  std::string name;
  std::string definition;  ///< one line, printed for users
  Needs needs = Needs::classes;
  /// The number; NaN where it is not defined (a correlation with a constant). Throws Error when
  /// there is nothing to score or the lengths differ.
  std::function<double(const Predictions&)> compute;
  bool larger_is_better = true;
};

/// Every metric of metrics.def, in that order.
const std::vector<Metric>& metrics();

/// The metric of that name. Throws Error with the nearest known name.
const Metric& metric(std::string_view name);

/// Throws Error naming the first of `names` that is not known or cannot score a classifier of
/// `classes` classes (0: a regressor).
void check_metrics(const std::vector<std::string>& names, size_t classes);

namespace metrics_list {
#define METRIC(name) Metric name();
#include "lib/metrics/metrics.def"
#undef METRIC
}  // namespace metrics_list

}  // namespace mtlora
