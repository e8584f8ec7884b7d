// A checkpoint's names → ours, declared. Patterns are those of lib/core/glob.h.
#pragma once

#include <string>
#include <vector>

namespace mtlora {

/// {"bert.**", "**"} strips a prefix; {"**.gamma", "**.weight"} calls a scale by its newer name.
struct Rename {
  std::string pattern, replacement;
};

/// `name` after each of `renames`, in order, where it matches. Throws Error where a replacement has
/// other wildcards than its pattern.
std::string renamed(std::string name, const std::vector<Rename>& renames);

}  // namespace mtlora
