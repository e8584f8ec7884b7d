#include "lib/metrics/metric.h"

#include <algorithm>

#include "lib/core/error.h"

namespace mtlora {

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
  std::vector<std::string> known;
  for (const Metric& m : metrics()) known.push_back(m.name);
  fail("{}", unknown("metric", name, known));
}

}  // namespace mtlora
