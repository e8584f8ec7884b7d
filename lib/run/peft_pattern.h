// The regular expressions of PEFT's options, which are Python's: those that C++ reads alike.
#pragma once

#include <optional>
#include <string>

namespace mtlora {

/// Whether the whole of `text` fits `pattern`; nothing where that is no regular expression, is
/// longer than a thousand characters, or has something that Python and C++ read differently (as
/// \A, \Z, (?i), [[:alpha:]] and []a]).
std::optional<bool> fits_pattern(const std::string& pattern, const std::string& text);

}  // namespace mtlora
