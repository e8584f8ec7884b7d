// Whether bytes are UTF-8.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mtlora {

/// Offset in bytes of the first byte that is not UTF-8 (overlong forms and surrogates count as
/// such), or nothing.
std::optional<size_t> invalid_utf8(std::string_view text);

/// `text` with U+FFFD in place of each part that is not UTF-8, as Rust's String::from_utf8_lossy
/// and Python's errors="replace" (the Unicode Standard, section 3.9, "maximal subparts").
std::string replace_invalid_utf8(std::string_view text);

}  // namespace mtlora
