// The GLUE benchmark's score of STS-B: the mean of the two correlations.
// Wang et al. 2018, arXiv:1804.07461, section 3.

#include "lib/metrics/metric.h"

namespace mtlora {

Metric metrics_list::pearson_spearman() {
  return {.name = "pearson_spearman",
          .definition = "mean of pearson and spearman",
          .needs = Metric::Needs::values,
          .compute = [](const Predictions& p) {
            return (metric("pearson").compute(p) + metric("spearman").compute(p)) / 2;
          }};
}

}  // namespace mtlora
