#include "lib/data/json_value.h"

#include <vector>

#include "lib/core/error.h"
#include "lib/data/shown_text.h"

namespace mtlora {

Json parse_json_line(std::string_view line) {
  if (line.empty()) fail("the line is blank");
  Json object;
  try {
    object = parse_json(line, "");
  } catch (const Error& e) {
    // It begins with its own origin and line, ":1: " or ": ", which mean nothing here.
    const std::string what = e.what();
    fail("{}", what.substr(what.find(": ") + 2));
  }
  if (!object.is_object()) fail("is not a JSON object");
  return object;
}

std::string shown(const Json& value) {
  return shown_text(value.dump());
}

const Json& json_value(const Json& object, const std::string& key) {
  if (!object.is_object()) fail("is not a JSON object: {}", shown(object));
  const auto found = object.find(key);
  if (found != object.end()) return *found;
  std::vector<std::string> keys;
  for (const auto& [name, value] : object.items()) keys.push_back(name);
  fail("there is no key \"{}\"; the keys are: {}", key, shown_list(keys));
}

std::string json_string(const Json& object, const std::string& key) {
  const Json& value = json_value(object, key);
  if (!value.is_string()) fail("\"{}\" is not a string: {}", key, shown(value));
  return value.get<std::string>();
}

const Json& json_array(const Json& object, const std::string& key) {
  const Json& value = json_value(object, key);
  if (!value.is_array()) fail("\"{}\" is not an array: {}", key, shown(value));
  return value;
}

}  // namespace mtlora
