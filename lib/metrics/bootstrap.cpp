#include "lib/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>

#include "lib/core/random.h"
#include "lib/metrics/score_threads.h"

namespace mtlora {

double percentile(const std::vector<double>& sorted, double p) {
  const double place = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

Interval bootstrap(const TextScorer& scorer, const std::vector<std::vector<double>>& statistics,
                   const BootstrapOptions& options) {
  std::vector<double> scores(static_cast<size_t>(options.samples));
  const auto draw = [&](size_t sample) {
    Random random(combine(combine(name_key("bootstrap"), options.seed), sample));
    std::vector<double> sum(statistics.front().size(), 0.0);
    for (size_t n = 0; n < statistics.size(); ++n) {
      const auto& drawn = statistics[random.below(statistics.size())];
      for (size_t k = 0; k < sum.size(); ++k) sum[k] += drawn[k];
    }
    scores[sample] = scorer.score(sum, statistics.size());
  };
  parallel_for(scores.size(), draw, options.threads);
  std::sort(scores.begin(), scores.end());
  const double tail = (1 - options.confidence) / 2;
  return {percentile(scores, tail), percentile(scores, 1 - tail)};
}

}  // namespace mtlora
