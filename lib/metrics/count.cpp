#include "lib/metrics/count.h"

#include "lib/core/error.h"

namespace mtlora {

void check_lengths(size_t predicted, const Predictions& predictions) {
  const size_t labels = predictions.labels.size();
  if (predicted != labels) fail("{} predictions for {} labels", predicted, labels);
  if (labels == 0) fail("there are no predictions to score");
}

int64_t count_correct(const Predictions& p) {
  check_lengths(p.classes.size(), p);
  int64_t correct = 0;
  for (size_t i = 0; i < p.labels.size(); ++i)
    correct += static_cast<double>(p.classes[i]) == p.labels[i];
  return correct;
}

ClassCounts count_class(const Predictions& p, int64_t c) {
  check_lengths(p.classes.size(), p);
  ClassCounts counts;
  for (size_t i = 0; i < p.labels.size(); ++i) {
    const bool predicted = p.classes[i] == c, labelled = p.labels[i] == static_cast<double>(c);
    counts.predicted += predicted;
    counts.labelled += labelled;
    counts.both += predicted && labelled;
  }
  return counts;
}

}  // namespace mtlora
