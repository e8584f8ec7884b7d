// Accuracy: correct / all. Equal to scikit-learn's accuracy_score.

#include "lib/metrics/count.h"

namespace mtlora {

Metric metrics_list::accuracy() {
  return {.name = "accuracy",
          .definition = "share of the examples whose predicted class is the label",
          .needs = Metric::Needs::classes,
          .compute = [](const Predictions& p) {
            return static_cast<double>(count_correct(p)) / static_cast<double>(p.labels.size());
          }};
}

}  // namespace mtlora
