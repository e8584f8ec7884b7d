// Counts that the classification metrics are made of.
#pragma once

#include <cstdint>

#include "lib/metrics/metric.h"

namespace mtlora {

/// Throws Error unless there is at least one label and as many `predicted`.
void check_lengths(size_t predicted, const Predictions& predictions);

/// Examples whose predicted class is the label.
int64_t count_correct(const Predictions& predictions);

/// How often class `c` is predicted, is the label, and is both.
struct ClassCounts {
  int64_t predicted = 0, labelled = 0, both = 0;
};
ClassCounts count_class(const Predictions& predictions, int64_t c);

}  // namespace mtlora
