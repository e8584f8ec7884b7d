#include "lib/metrics/score_text.h"

#include <utf8proc.h>

#include <algorithm>

namespace mtlora::scoring {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

constexpr bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

void append_utf8(std::string& out, char32_t c) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

}  // namespace

std::u32string code_points(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t i = 0; i < text.size();) {
    utf8proc_int32_t c = at[i];
    const auto taken =
        c < 0x80 ? 1 : utf8proc_iterate(at + i, static_cast<utf8proc_ssize_t>(text.size() - i), &c);
    if (taken < 1) c = at[i];
    out.push_back(static_cast<char32_t>(c));
    i += taken < 1 ? 1 : static_cast<size_t>(taken);
  }
  return out;
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text)
    if (c < 0x80)
      out.push_back(static_cast<char>(c));
    else
      append_utf8(out, c);
  return out;
}

char32_t lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

bool is_letter(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_upper(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z';
  return category(c) == UTF8PROC_CATEGORY_LU;
}

bool is_mark(char32_t c) {
  if (c < 0x300) return false;
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME;
}

bool is_word_character(char32_t c) {
  if (c == '_' || is_letter(c) || (c >= '0' && c <= '9')) return true;
  if (c < 0x80) return false;
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
  const auto kind = category(c);
  return c == 0x85 || (kind >= UTF8PROC_CATEGORY_ZS && kind <= UTF8PROC_CATEGORY_ZP);
}

std::string lower_cased(std::string_view text) {
  std::u32string out;
  for (const char32_t c : code_points(text)) {
    if (c == 0x130)
      out += U"i\u0307";  // the one letter whose lower case is two code points
    else
      out.push_back(lower(c));
  }
  return to_utf8(out);
}

std::string ascii_lower_cased(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

std::string split_at_non_words(std::string_view text) {
  std::u32string out;
  for (const char32_t c : code_points(text)) {
    const bool is_word = is_word_character(c);
    const bool is_inside = is_word && !out.empty() && is_word_character(out.back());
    if (is_space(c)) {
      if (!out.empty() && out.back() != ' ') out.push_back(' ');
      continue;
    }
    if (!is_inside && !out.empty() && out.back() != ' ') out.push_back(' ');
    out.push_back(c);
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return to_utf8(out);
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (size_t i = 0; i < text.size();) {
    if (is_ascii_space(text[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < text.size() && !is_ascii_space(text[i])) ++i;
    words.emplace_back(text.substr(begin, i - begin));
  }
  return words;
}

std::vector<std::string> unicode_words_of(std::string_view text) {
  const bool is_ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (is_ascii) return words_of(text);
  std::u32string spaced = code_points(text);
  for (char32_t& c : spaced)
    if (is_space(c)) c = ' ';
  return words_of(to_utf8(spaced));
}

}  // namespace mtlora::scoring
