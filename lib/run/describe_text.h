// What describe knows of methods, optimizers, tasks, …, for people.
#pragma once

#include <string>

#include "lib/core/json.h"

namespace mtlora {

/// Entries with their "name", "summary" and, where they have them, "equation", "parameters"
/// {count, of, at}, "merges", "options" (properties of a JSON Schema) and "source", as text.
std::string entries_text(const Json& entries);

}  // namespace mtlora
