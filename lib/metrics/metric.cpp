#include "lib/metrics/metric.h"

#include <algorithm>

#include "lib/core/error.h"

namespace mtlora {
namespace {

std::vector<std::string> metric_names(const std::function<bool(const Metric&)>& wanted) {
  std::vector<std::string> names;
  for (const Metric& m : metrics())
    if (wanted(m)) names.push_back(m.name);
  return names;
}

bool fits(const Metric& m, size_t classes) {
  if (m.needs == Metric::Needs::values) return classes == 0;
  return m.needs == Metric::Needs::two_classes ? classes == 2 : classes > 0;
}

}  // namespace

const std::vector<Metric>& metrics() {
  static const std::vector<Metric> all = {
#define METRIC(name) metrics_list::name(),
#include "lib/metrics/metrics.def"
#undef METRIC
  };
  return all;
}

const Metric& metric(std::string_view name) {
  const auto found = std::find_if(metrics().begin(), metrics().end(),
                                  [&](const Metric& m) { return m.name == name; });
  if (found != metrics().end()) return *found;
  const auto known = metric_names([](const Metric&) { return true; });
  fail("{}", unknown("metric", name, known));
}

void check_metrics(const std::vector<std::string>& names, size_t classes) {
  const auto fitting = metric_names([&](const Metric& m) { return fits(m, classes); });
  const std::string what =
      classes == 0 ? "a regression" : fmt::format("a classification of {} classes", classes);
  for (const std::string& name : names)
    if (!fits(metric(name), classes))
      fail("the metric \"{}\" does not score {}; these do: {}", name, what,
           fmt::join(fitting, ", "));
}

}  // namespace mtlora
