#include "lib/adapters/adapter_set.h"

#include <cctype>

namespace mtlora {

// "….self.query" and its sibling "value" are parts of one layer, whose path is that of the first.
std::string AdaptedLayer::path_of(const Part& part) const {
  return part.name.empty() ? path : path.substr(0, path.rfind('.') + 1) + part.name;
}

std::vector<std::string> AdaptedLayer::names_of(const Part& part) const {
  const std::string own = path_of(part);
  if (part.name.empty() || parts_are == PartsAre::layers) return {own};
  return {own.substr(0, own.rfind('.')), own};
}

int64_t AdaptedLayer::depth() const {
  for (size_t at = 0; at < path.size(); ++at) {
    const bool begins = at == 0 || path[at - 1] == '.';
    if (begins && std::isdigit(static_cast<unsigned char>(path[at])))
      return std::stoll(path.substr(at));
  }
  return -1;
}

Tensor& StepGradients::of(const Tensor& parameter) const {
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].is_same(parameter)) return gradients_[i];
  TORCH_INTERNAL_ASSERT(false, "a gradient is asked for that no step computes");
}

}  // namespace mtlora
