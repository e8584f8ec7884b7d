// The mark that some programs put before UTF-8 text.
#pragma once

#include <string>
#include <string_view>

namespace mtlora {

/// `bytes` without a UTF-8 byte-order mark. Throws Error, naming `origin`, when they begin with
/// that of UTF-16.
std::string_view without_bom(std::string_view bytes, const std::string& origin);

}  // namespace mtlora
