// Values out of JSON that should hold an example; what is missing or of another type is an Error
// that names it.
#pragma once

#include <string>
#include <string_view>

#include "lib/core/json.h"

namespace mtlora {

/// `value` as a message shows it, see shown_text().
std::string shown(const Json& value);

/// One line of a JSON lines file, an object. Throws Error, without the place, when it is none.
Json parse_json_line(std::string_view line);

/// `object[key]`. Throws Error, with the keys there are, when it has none.
const Json& json_value(const Json& object, const std::string& key);
/// The same, when it is of the type asked for; otherwise throws Error with the value.
std::string json_string(const Json& object, const std::string& key);
const Json& json_array(const Json& object, const std::string& key);

}  // namespace mtlora
