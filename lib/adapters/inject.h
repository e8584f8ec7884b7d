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

/// What a run changes, in the model's order.
struct Trained {
  /// By name, what a checkpoint holds: all that is trained, and what the method added and keeps
  /// frozen.
  std::vector<NamedTensor> tensors;
  /// Each trained parameter once, by the names of the modules' own.
  std::vector<std::pair<std::string, Tensor>> parameters;
  std::shared_ptr<AdapterSet> set;  ///< the method at work; it refers to the model's adapters
  std::vector<FactorPair> pairs;    ///< factors of products among the parameters
  int64_t count() const;            ///< trained numbers
};

/// Freezes `model`, fills the slots that the targets name, and lets train: the adapters, what the
/// method and options.trainable name, and whatever `always` matches (the head, and new tensors),
/// which gets no adapter. Throws Error where a pattern matches nothing, listing the candidates.
Trained inject(torch::nn::Module& model, const AdapterOptions& options, uint64_t seed,
               const std::vector<std::string>& always);

/// Lets every adapter below `model` see its layer's weights, once these have the compute type.
void meet_bases(torch::nn::Module& model);

/// Moves every tensor below `model` to a device, and takes the views in `trained` anew. Before
/// anything is made that keeps views of its own, such as an optimizer.
void move_to(torch::Device device, torch::nn::Module& model, Trained& trained);

/// Folds every adapter below `model` into its layer. Throws Error where the method's change is no
/// plain linear map.
void merge_adapters(torch::nn::Module& model);

}  // namespace mtlora
