// The GLUE benchmark's score of MRPC and QQP: the mean of accuracy and F1.
// Wang et al. 2018, arXiv:1804.07461, section 3.

#include "lib/metrics/metric.h"

namespace mtlora {

Metric metrics_list::accuracy_f1() {
  return {.name = "accuracy_f1",
          .definition = "mean of accuracy and f1",
          .needs = Metric::Needs::two_classes,
          .compute = [](const Predictions& p) {
            return (metric("accuracy").compute(p) + metric("f1").compute(p)) / 2;
          }};
}

}  // namespace mtlora
