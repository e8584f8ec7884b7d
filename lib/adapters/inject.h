// Targets → slots: finds the layers that a config names, fills their slots, and decides what is
// trained.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/adapters/registry.h"
#include "lib/core/options.h"
#include "lib/nn/names.h"

namespace mtlora {

struct AdapterOptions {
  std::vector<std::string> targets = {"query", "value"}, trainable;
  std::optional<std::string> start_from;
  Choice method{"mtlora"};

  void fields(Fields& f);
};

/// What is trained: `tensors` by name, and each parameter once, in the model's order.
struct Trained {
  std::vector<NamedTensor> tensors;
  std::vector<std::pair<std::string, Tensor>> parameters;  ///< names of the modules' own
  int64_t count() const;                                   ///< trained numbers
};

/// Freezes `model`, fills the slots that the targets name, and lets train: the adapters, what the
/// method and options.trainable name, and the tensors matched by `always` (the head, and what was
/// newly initialised). Throws Error where a pattern matches nothing, listing the candidates.
Trained inject(torch::nn::Module& model, const AdapterOptions& options, uint64_t seed,
               const std::vector<std::string>& always);

/// Folds every adapter below `model` into its layer.
void merge_adapters(torch::nn::Module& model);

}  // namespace mtlora
