// What is said where a loss or a gradient is not finite: which step, which examples, and where in
// the model it began.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/optim/registry.h"
#include "lib/train/objective.h"

namespace mtlora {

/// Makes the forward pass of the micro-batches again (`pass` as it was; its rows are set here) and
/// returns the path of the first linear layer whose output is not finite; "" where all are.
std::string first_bad_layer(const Objective& objective,
                            const std::vector<std::vector<Item>>& micro_batches, Pass pass);

/// The trained tensor that is nearest to the output among those whose gradients are not finite; the
/// gradients in the parameters' order. "" where all are finite.
std::string first_bad_gradient(const std::vector<Parameter>& parameters,
                               const std::vector<Tensor>& gradients);

struct NotFinite {
  int64_t step = 0;  ///< from 0
  double loss = 0;
  std::optional<double> gradient_norm;  ///< of steps that have gradients
  std::string where;                    ///< the layer or the tensor; "" for neither
};

/// Throws BrokenRun.
[[noreturn]] void report_not_finite(const NotFinite& found,
                                    const std::vector<std::vector<Item>>& micro_batches);

}  // namespace mtlora
