#include "lib/data/shown_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "lib/core/utf8.h"

namespace mtlora {
namespace {

constexpr size_t kMostCharacters = 60, kMostTexts = 20;

// The character that `text` begins with; a byte that begins none alone.
std::string_view first_character(std::string_view text) {
  size_t bytes = 1;
  while (bytes < 4 && bytes < text.size() && (text[bytes] & 0xC0) == 0x80) ++bytes;
  const std::string_view character = text.substr(0, bytes);
  return invalid_utf8(character) ? text.substr(0, 1) : character;
}

bool is_plain(std::string_view character) {
  const bool is_c1 = character >= "\xC2\x80" && character <= "\xC2\x9F";
  const bool is_c0 = character.front() >= '\0' && character.front() < ' ';
  return !is_c0 && !is_c1 && character != "\x7F" && !invalid_utf8(character);
}

std::string escaped(std::string_view bytes) {
  if (bytes == "\n") return "\\n";
  if (bytes == "\r") return "\\r";
  if (bytes == "\t") return "\\t";
  std::string out;
  for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return out;
}

}  // namespace

std::string shown_text(std::string_view text) {
  std::string out;
  for (size_t characters = 0; !text.empty(); ++characters) {
    if (characters == kMostCharacters) return out + "…";
    const std::string_view character = first_character(text);
    out += is_plain(character) ? std::string(character) : escaped(character);
    text.remove_prefix(character.size());
  }
  return out;
}

std::string shown_list(const std::vector<std::string>& texts, std::string_view separator) {
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(texts.size(), kMostTexts); ++i)
    shown.push_back(shown_text(texts[i]));
  if (texts.size() > kMostTexts)
    shown.push_back(fmt::format("… and {} more", texts.size() - kMostTexts));
  return fmt::format("{}", fmt::join(shown, separator));
}

}  // namespace mtlora
