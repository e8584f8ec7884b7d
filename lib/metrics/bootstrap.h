// How far a corpus score would move with other segments of the same kind: the percentile bootstrap.
// Efron, Tibshirani 1993; Koehn 2004, "Statistical significance tests for machine translation
// evaluation".
#pragma once

#include <cstdint>
#include <vector>

#include "lib/metrics/text_metric.h"

namespace mtlora {

struct Interval {
  double low = 0, high = 0;
};

struct BootstrapOptions {
  int64_t samples = 1000;
  uint64_t seed = 0;
  double confidence = 0.95;
  size_t threads = 0;  ///< 0: the cores; the result does not depend on it
};

/// The middle `confidence` of the scores of `samples` corpora, each drawn from the segments with
/// repetition. The same seed draws the same segments for every metric.
Interval bootstrap(const TextScorer& scorer, const std::vector<std::vector<double>>& statistics,
                   const BootstrapOptions& options);

/// The value that a share `p` of `sorted` is below, between two of them linearly (NumPy's default).
double percentile(const std::vector<double>& sorted, double p);

}  // namespace mtlora
