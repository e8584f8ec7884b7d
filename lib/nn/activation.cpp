#include "lib/nn/activation.h"

#include <utility>
#include <vector>

#include "lib/backend/decoder_ops.h"
#include "lib/core/error.h"

namespace mtlora {

using torch::Tensor;

Activation activation_of(const std::string& name, const std::string& where) {
  static const std::vector<std::pair<std::string, Activation>> known{
      {"gelu", [](const Tensor& x) { return backend::gelu(x); }},
      {"gelu_new", [](const Tensor& x) { return backend::gelu_tanh(x); }},
      {"gelu_pytorch_tanh", [](const Tensor& x) { return backend::gelu_tanh(x); }},
      {"relu", [](const Tensor& x) { return torch::relu(x); }},
      {"tanh", [](const Tensor& x) { return torch::tanh(x); }}};
  std::vector<std::string> names;
  for (const auto& [its_name, function] : known) {
    if (its_name == name) return function;
    names.push_back(its_name);
  }
  fail("{}: {}", where, unknown("activation", name, names));
}

}  // namespace mtlora
