#include "lib/run/peft_pattern.h"

#include <cctype>
#include <regex>
#include <string_view>

namespace mtlora {
namespace {

constexpr size_t kLongest = 1000;  // std::regex calls itself
constexpr std::string_view kEscapes = "dDwWsS.-/\\[](){}+*?|^$";

// Characters of the class that begins at `at`, which may not begin with ] or hold a [; 0: another.
size_t class_length(std::string_view pattern, size_t at) {
  size_t i = at + 1;
  if (i < pattern.size() && pattern[i] == '^') ++i;
  for (const size_t first = i; i < pattern.size(); ++i) {
    if (pattern[i] == '[') return 0;
    if (pattern[i] == ']') return i == first ? 0 : i + 1 - at;
    if (pattern[i] == '\\' && (++i == pattern.size() || kEscapes.find(pattern[i]) == kEscapes.npos))
      return 0;
  }
  return 0;
}

// Characters of the piece that begins at `at`; 0: one that the two languages read differently.
size_t piece_length(std::string_view pattern, size_t at) {
  const std::string_view rest = pattern.substr(at);
  if (rest[0] == '[') return class_length(pattern, at);
  if (rest[0] == '\\') return rest.size() > 1 && kEscapes.find(rest[1]) != kEscapes.npos ? 2 : 0;
  if (rest.starts_with("(?"))
    return rest.starts_with("(?:") || rest.starts_with("(?=") || rest.starts_with("(?!") ? 3 : 0;
  if (rest[0] == '{')
    return rest.size() > 1 && std::isdigit(static_cast<unsigned char>(rest[1])) ? 1 : 0;
  return static_cast<unsigned char>(rest[0]) < 0x80 ? 1 : 0;
}

bool is_read_alike(std::string_view pattern) {
  for (size_t at = 0; at < pattern.size();) {
    const size_t length = piece_length(pattern, at);
    if (length == 0) return false;
    at += length;
  }
  return pattern.size() <= kLongest;
}

}  // namespace

std::optional<bool> fits_pattern(const std::string& pattern, const std::string& text) {
  if (!is_read_alike(pattern)) return std::nullopt;
  try {
    return std::regex_match(text, std::regex(pattern));
  } catch (const std::regex_error&) {
    return std::nullopt;
  }
}

}  // namespace mtlora
