#include "lib/train/parameters.h"

namespace mtlora {
namespace {

std::optional<size_t> place_of(const Tensor& tensor, const Trained& trained) {
  for (size_t i = 0; i < trained.parameters.size(); ++i)
    if (trained.parameters[i].second.is_same(tensor)) return i;
  return std::nullopt;
}

}  // namespace

std::vector<Parameter> parameters_of(const Trained& trained) {
  std::vector<Parameter> parameters;
  for (const auto& [name, tensor] : trained.parameters)
    parameters.push_back({name, tensor, decays(name),
                          trained.set->lr_scale(name.substr(name.rfind('.') + 1)), std::nullopt});
  for (const FactorPair& pair : trained.pairs)
    if (const auto down = place_of(pair.down, trained))
      parameters[*down].partner = place_of(pair.up, trained);
  return parameters;
}

}  // namespace mtlora
