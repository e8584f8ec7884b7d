#include "lib/run/differences.h"

#include <fmt/format.h>

namespace mtlora {
namespace {

void collect(const Json& a, const Json& b, const std::string& at, std::vector<Difference>& out) {
  if (!a.is_object() || !b.is_object()) {
    if (a != b) out.push_back({at, fmt::format("{}: {} there, {} now", at, a.dump(), b.dump())});
    return;
  }
  const size_t before = out.size();
  for (const auto& [key, value] : a.items())
    collect(value, b.contains(key) ? b[key] : Json(), at + "/" + key, out);
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) collect(Json(), value, at + "/" + key, out);
  if (out.size() == before && a != b)
    out.push_back(
        {at, fmt::format("{}: {} there, {} now, in another order", at, a.dump(), b.dump())});
}

}  // namespace

std::vector<Difference> differences(const Json& there, const Json& now, const std::string& at) {
  std::vector<Difference> all;
  collect(there, now, at, all);
  return all;
}

}  // namespace mtlora
