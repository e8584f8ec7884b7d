#include "lib/core/glob.h"

#include <algorithm>

#include "lib/core/error.h"

namespace mtlora {
namespace {

using Captures = std::vector<std::string_view>;

// Characters of the wildcard that `pattern` begins with; 0 where it begins with none.
size_t wildcard_length(std::string_view pattern) {
  if (pattern.starts_with("**")) return 2;
  return pattern.starts_with('*') || pattern.starts_with('?') ? 1 : 0;
}

// Whether `text` fits; what the wildcards stand for is appended to `captures`.
bool match(std::string_view pattern, std::string_view text, Captures& captures) {
  if (pattern.empty()) return text.empty();
  const size_t wild = wildcard_length(pattern);
  if (wild == 0)
    return text.starts_with(pattern[0]) && match(pattern.substr(1), text.substr(1), captures);
  const bool is_one = pattern[0] == '?';
  const size_t dot = wild == 2 ? text.size() : std::min(text.find('.'), text.size());
  const size_t least = is_one ? 1 : 0, most = is_one ? std::min<size_t>(1, dot) : dot;
  for (size_t taken = least; taken <= most; ++taken) {
    captures.push_back(text.substr(0, taken));
    const size_t count = captures.size();
    if (match(pattern.substr(wild), text.substr(taken), captures)) return true;
    captures.resize(count - 1);
  }
  return false;
}

}  // namespace

std::optional<Captures> glob_captures(std::string_view pattern, std::string_view text) {
  Captures captures;
  if (!match(pattern, text, captures)) return std::nullopt;
  return captures;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  return glob_captures(pattern, text).has_value();
}

std::string glob_fill(std::string_view pattern, const Captures& captures) {
  std::string filled;
  size_t used = 0, wild = 0;
  for (size_t at = 0; at < pattern.size(); at += std::max<size_t>(wild, 1)) {
    wild = wildcard_length(pattern.substr(at));
    if (wild == 0) {
      filled += pattern[at];
    } else if (used++ < captures.size()) {
      filled += captures[used - 1];
    }
  }
  if (used != captures.size())
    fail("pattern \"{}\" has {} wildcards, but {} are to be filled in", pattern, used,
         captures.size());
  return filled;
}

bool path_match(std::string_view pattern, std::string_view path) {
  const bool whole =
      pattern.find('.') != std::string_view::npos || pattern.find("**") != std::string_view::npos;
  return glob_match(pattern, whole ? path : path.substr(path.rfind('.') + 1));
}

}  // namespace mtlora
