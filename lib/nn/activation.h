// The functions between layers that a config.json names.
#pragma once

#include <torch/types.h>

#include <string>

namespace mtlora {

using Activation = torch::Tensor (*)(const torch::Tensor& x);

/// "gelu", "gelu_new" or "gelu_pytorch_tanh" (which are one function), "relu" or "tanh", as Hugging
/// Face calls them. Throws Error, beginning with `where`, for any other.
Activation activation_of(const std::string& name, const std::string& where);

}  // namespace mtlora
