// What methods need whose start depends on the task: the gradients of the adapted layers' own
// weights in the first step. See AdapterSet::initialise().
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <vector>

#include "lib/adapters/adapter_set.h"
#include "lib/train/objective.h"

namespace mtlora {

/// The gradients of the mean loss of all micro-batches' items together, in evaluation (no dropout),
/// by the weights [out, in] of the layers below `model` that have an adapter, in the model's order,
/// in the weights' type. Frozen weights are frozen and settled again afterwards.
std::vector<torch::Tensor> weight_gradients(torch::nn::Module& model, const Objective& objective,
                                            const std::vector<std::vector<Item>>& micro_batches);

/// Lets the method start from the first step's micro-batches, where it wants to.
void initialise_from(const std::vector<std::vector<Item>>& micro_batches, torch::nn::Module& model,
                     const Objective& objective, AdapterSet& set);

}  // namespace mtlora
