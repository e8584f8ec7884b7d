// JSON documents that are one long array: read entry by entry, so that only one is in memory at a
// time and each is known by its line.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "lib/core/json.h"

namespace mtlora {

/// Calls `each` for every entry, in order, with the line on which it begins. The array is the
/// document, or the value of `key` in it if that is not empty. Throws Error, with file and line,
/// where the document is not valid JSON or UTF-8, has a key twice in one object, or is no such
/// array; `origin` begins the message.
void read_json_entries(std::string_view content, const std::string& origin, const std::string& key,
                       const std::function<void(size_t line, const Json& entry)>& each);

}  // namespace mtlora
