// What an optimizer is told of the trained tensors.
#pragma once

#include <vector>

#include "lib/adapters/inject.h"
#include "lib/optim/registry.h"

namespace mtlora {

/// Every trained parameter, in the order of `trained`, with its decay, its learning rate and its
/// partner in a product.
std::vector<Parameter> parameters_of(const Trained& trained);

}  // namespace mtlora
