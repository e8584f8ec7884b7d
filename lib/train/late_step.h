// What the two ways of a training step share: step.cpp knows each step's numbers before it updates,
// late_step.cpp after it has asked for the next.
#pragma once

#include <cmath>

#include "lib/train/step.h"

namespace mtlora {

/// Loss and gradients of a step that were asked for.
struct TrainStep::Asked {
  int64_t step;
  Batches micro_batches;
  StepReport report;  // but for its loss and norm
  Tensor loss;        // fp64 scalar
  std::vector<Tensor> gradients;
  Tensor flat;  // where defined, the gradients are the parts of this
};

/// The same numbers: `flat` alone where it is defined, whose parts the gradients are then.
inline std::vector<Tensor> in_few_pieces(const Tensor& flat, const std::vector<Tensor>& gradients) {
  return flat.defined() ? std::vector<Tensor>{flat} : gradients;
}

inline bool is_finite(const StepReport& report) {
  return std::isfinite(report.loss) && std::isfinite(report.gradient_norm);
}

}  // namespace mtlora
