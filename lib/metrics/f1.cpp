// F1 of class 1: 2 TP / (2 TP + FP + FN), and 0 where class 1 is neither predicted nor a label.
// Equal to scikit-learn's f1_score (binary, pos_label=1, zero_division=0).

#include "lib/metrics/count.h"

namespace mtlora {

Metric metrics_list::f1() {
  return {.name = "f1",
          .definition = "F1 = 2 TP / (2 TP + FP + FN) of class 1; 0 where there is no class 1",
          .needs = Metric::Needs::two_classes,
          .compute = [](const Predictions& p) {
            const ClassCounts counts = count_class(p, 1);
            const int64_t all = counts.predicted + counts.labelled;
            return all == 0 ? 0.0
                            : 2.0 * static_cast<double>(counts.both) / static_cast<double>(all);
          }};
}

}  // namespace mtlora
