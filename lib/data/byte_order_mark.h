// What a file of text begins with: a mark that some programs put before UTF-8, or the sign that it
// is no such text.
#pragma once

#include <string>
#include <string_view>

namespace mtlora {

/// `bytes` without a UTF-8 byte-order mark. Throws Error, naming `origin`, when they begin as
/// UTF-16, gzip or a ZIP archive does.
std::string_view without_bom(std::string_view bytes, const std::string& origin);

}  // namespace mtlora
