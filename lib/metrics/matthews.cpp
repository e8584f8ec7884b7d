// Matthews' correlation, for any number of classes: with n examples, c of them correct, and class k
// predicted p_k times and labelled t_k times,
//   (c n - Σ p_k t_k) / sqrt((n² - Σ p_k²) (n² - Σ t_k²)),  0 where the root is 0.
// Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient";
// equal to scikit-learn's matthews_corrcoef.

#include <cmath>
#include <map>

#include "lib/metrics/count.h"

namespace mtlora {
namespace {

double matthews_correlation(const Predictions& p) {
  const auto correct = static_cast<double>(count_correct(p));
  const auto n = static_cast<double>(p.labels.size());
  std::map<double, std::pair<double, double>> counts;  // class → predicted, labelled
  for (const int64_t c : p.classes) ++counts[static_cast<double>(c)].first;
  for (const double c : p.labels) ++counts[c].second;
  double both = correct * n, predicted = n * n, labelled = n * n;
  for (const auto& [c, count] : counts) {
    both -= count.first * count.second;
    predicted -= count.first * count.first;
    labelled -= count.second * count.second;
  }
  // Whole numbers below 2^53 until here: a constant prediction gives exactly 0.
  return predicted == 0 || labelled == 0 ? 0.0 : both / std::sqrt(predicted * labelled);
}

}  // namespace

Metric metrics_list::matthews() {
  return {.name = "matthews",
          .definition =
              "Matthews correlation of predicted and true classes; 0 where all "
              "predictions or all labels are one class",
          .needs = Metric::Needs::classes,
          .compute = matthews_correlation};
}

}  // namespace mtlora
