// Patterns over dotted paths: `*` stands for any characters but a dot, `**` for any at all, `?` for
// one but a dot.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// Whether the whole of `text` fits `pattern`.
bool glob_match(std::string_view pattern, std::string_view text);

/// What each wildcard of `pattern` stands for in `text`, each as little as it can from the left;
/// nothing where the whole of `text` does not fit.
std::optional<std::vector<std::string_view>> glob_captures(std::string_view pattern,
                                                           std::string_view text);

/// `pattern` with its wildcards replaced, in order. Throws Error where their numbers differ.
std::string glob_fill(std::string_view pattern, const std::vector<std::string_view>& captures);

/// A pattern without a dot (and without `**`) is for the last component of `path`, any other for
/// the whole.
bool path_match(std::string_view pattern, std::string_view path);

}  // namespace mtlora
