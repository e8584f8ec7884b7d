// What nlohmann's exceptions say, in the words that a user is told.
#pragma once

#include <string>

namespace mtlora {

/// What is wrong, of an exception's what(): without its name, and without the line and column,
/// which are told where the text has a name.
std::string json_fault(const std::string& what);

}  // namespace mtlora
