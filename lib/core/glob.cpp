#include "lib/core/glob.h"

namespace mtlora {

bool glob_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    const bool crosses = pattern.substr(0, 2) == "**";
    const std::string_view rest = pattern.substr(crosses ? 2 : 1);
    for (size_t taken = 0; taken <= text.size(); ++taken) {
      if (glob_match(rest, text.substr(taken))) return true;
      if (taken < text.size() && text[taken] == '.' && !crosses) return false;
    }
    return false;
  }
  if (text.empty()) return false;
  const bool fits = pattern[0] == '?' ? text[0] != '.' : pattern[0] == text[0];
  return fits && glob_match(pattern.substr(1), text.substr(1));
}

bool path_match(std::string_view pattern, std::string_view path) {
  const bool whole =
      pattern.find('.') != std::string_view::npos || pattern.find("**") != std::string_view::npos;
  return glob_match(pattern, whole ? path : path.substr(path.rfind('.') + 1));
}

}  // namespace mtlora
