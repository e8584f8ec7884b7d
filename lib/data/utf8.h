// Whether bytes are UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mtlora {

/// Where the first byte stands that does not belong to valid UTF-8; npos when all do.
size_t invalid_utf8_at(std::string_view bytes);

/// `bytes` without a UTF-8 byte-order mark. Throws Error, naming `origin`, when they begin with
/// that of UTF-16.
std::string_view without_bom(std::string_view bytes, const std::string& origin);

}  // namespace mtlora
