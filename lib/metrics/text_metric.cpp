#include "lib/metrics/text_metric.h"

#include <algorithm>

#include "lib/core/error.h"

namespace mtlora {

const std::vector<TextMetric>& text_metrics() {
  static const std::vector<TextMetric> all = {
#define TEXT_METRIC(name) text_metrics_list::name(),
#include "lib/metrics/text_metrics.def"
#undef TEXT_METRIC
  };
  return all;
}

const TextMetric& text_metric(std::string_view name) {
  const auto found = std::find_if(text_metrics().begin(), text_metrics().end(),
                                  [&](const TextMetric& m) { return m.name == name; });
  if (found != text_metrics().end()) return *found;
  std::vector<std::string> known;
  for (const TextMetric& m : text_metrics()) known.push_back(m.name);
  fail("{}", unknown("text metric", name, known));
}

}  // namespace mtlora
