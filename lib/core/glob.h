// Patterns over dotted paths: `*` stands for any characters but a dot, `**` for any at all, `?` for
// one but a dot.
#pragma once

#include <string_view>

namespace mtlora {

/// Whether the whole of `text` fits `pattern`.
bool glob_match(std::string_view pattern, std::string_view text);

/// A pattern without a dot (and without `**`) is for the last component of `path`, any other for
/// the whole.
bool path_match(std::string_view pattern, std::string_view path);

}  // namespace mtlora
