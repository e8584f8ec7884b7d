// Pearson's correlation of predicted and true scores. Equal to SciPy's pearsonr.

#include "lib/metrics/correlation.h"
#include "lib/metrics/count.h"

namespace mtlora {

Metric metrics_list::pearson() {
  return {.name = "pearson",
          .definition =
              "Pearson correlation of predicted and true scores; NaN where either is "
              "constant",
          .needs = Metric::Needs::values,
          .compute = [](const Predictions& p) {
            check_lengths(p.values.size(), p);
            return correlation(p.values, p.labels);
          }};
}

}  // namespace mtlora
