// Other people's JSON: objects with tens of thousands of keys (a vocabulary) in n log n, which
// core's order-keeping Json cannot; what goes unread is ignored.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mtlora {

using ForeignJson = nlohmann::json;

/// Reads and parses a file. Throws Error naming it and the line.
ForeignJson read_foreign_json(const std::filesystem::path& file);

/// `object[key]`, or `otherwise` where it is absent or null.
template <class T>
T value_or(const ForeignJson& object, std::string_view key, T otherwise) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? otherwise : found->template get<T>();
}

}  // namespace mtlora
