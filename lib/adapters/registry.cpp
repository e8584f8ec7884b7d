#include "lib/adapters/registry.h"

#include "lib/core/error.h"

namespace mtlora {

#define ADAPTER(name) AdapterMethod name();
#include "lib/adapters/methods.def"
#undef ADAPTER

const std::vector<AdapterMethod>& adapter_methods() {
  static const std::vector<AdapterMethod> methods = {
#define ADAPTER(name) name(),
#include "lib/adapters/methods.def"
#undef ADAPTER
  };
  return methods;
}

const AdapterMethod& adapter_method(const std::string& name) {
  for (const AdapterMethod& method : adapter_methods())
    if (method.name == name) return method;
  fail("{}", unknown("adapter method", name, adapter_kind().names()));
}

const Kind& adapter_kind() {
  static const Kind kind = [] {
    Kind all{"adapter method", {}};
    for (const AdapterMethod& method : adapter_methods()) all.entries.push_back(&method);
    return all;
  }();
  return kind;
}

}  // namespace mtlora
