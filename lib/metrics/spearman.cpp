// Spearman's correlation: Pearson's, of ranks; equal values share the mean of their ranks.
// Equal to SciPy's spearmanr.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "lib/metrics/correlation.h"
#include "lib/metrics/count.h"

namespace mtlora {
namespace {

std::vector<double> average_ranks(const std::vector<double>& x) {
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return x[i] < x[j]; });
  std::vector<double> ranks(x.size());
  for (size_t begin = 0, end = 0; begin < x.size(); begin = end) {
    while (end < x.size() && x[order[end]] == x[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + end + 1) / 2;
  }
  return ranks;
}

bool has_nan(const std::vector<double>& x) {
  return std::any_of(x.begin(), x.end(), [](double v) { return std::isnan(v); });
}

double rank_correlation(const Predictions& p) {
  check_lengths(p.values.size(), p);
  if (has_nan(p.values) || has_nan(p.labels)) return std::numeric_limits<double>::quiet_NaN();
  return correlation(average_ranks(p.values), average_ranks(p.labels));
}

}  // namespace

Metric metrics_list::spearman() {
  return {.name = "spearman",
          .definition =
              "Spearman correlation (ties share their mean rank) of predicted and true "
              "scores; NaN where either is constant",
          .needs = Metric::Needs::values,
          .compute = rank_correlation};
}

}  // namespace mtlora
