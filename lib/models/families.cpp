#include "lib/core/error.h"
#include "lib/models/family.h"

namespace mtlora {

#define FAMILY(name) Family name();
#include "lib/models/families.def"
#undef FAMILY

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
#define FAMILY(name) name(),
#include "lib/models/families.def"
#undef FAMILY
  };
  return all;
}

const Family& family_of(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const Family& family : families()) {
    if (family.name == config.model_type()) return family;
    names.push_back(family.name);
  }
  fail("{}: {}", config.origin(), unknown("model_type", config.model_type(), names));
}

}  // namespace mtlora
