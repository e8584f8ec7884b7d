#include "lib/text/gpt2_words.h"

#include <array>
#include <cstdint>

#include "lib/text/unicode.h"

namespace mtlora {
namespace {

enum class Kind : uint8_t { kLetter, kNumber, kSpace, kOther };

Kind classify(char32_t c) {
  if (is_whitespace(c)) return Kind::kSpace;
  if (is_letter(c)) return Kind::kLetter;
  return is_number(c) ? Kind::kNumber : Kind::kOther;
}

// The class of the code point at `at`, which moves behind it.
Kind next_kind(std::string_view text, size_t& at) {
  static const auto ascii = [] {
    std::array<Kind, 128> table;
    for (char32_t c = 0; c < 128; ++c) table[c] = classify(c);
    return table;
  }();
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 128) return ++at, ascii[byte];
  return classify(next_code_point(text, at));
}

// The length of a contraction such as 're that begins at `at`, 0 where there is none.
size_t contraction(std::string_view text) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.starts_with(ending)) return ending.size();
  return 0;
}

// The end of the run of `kind` that goes on at `at`.
size_t run_end(std::string_view text, size_t at, Kind kind) {
  for (size_t after = at; at < text.size(); at = after)
    if (next_kind(text, after) != kind) break;
  return at;
}

// White space: all of it at the end of the text, otherwise all but its last code point, which may
// belong to the next word (it stays alone if it is the only one).
size_t space_end(std::string_view text, size_t begin) {
  size_t last = begin, at = begin;
  while (at < text.size()) {
    size_t after = at;
    if (next_kind(text, after) != Kind::kSpace) return last > begin ? last : at;
    last = at;
    at = after;
  }
  return at;
}

// What Rust's `char::is_numeric` takes: Unicode 17, newer than the ByteLevel pattern's.
bool is_numeric(char32_t c) {
  return is_number(c) || (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
}

}  // namespace

size_t digits_piece_end(std::string_view text, size_t begin) {
  size_t at = begin;
  for (size_t after = at; at < text.size(); at = after)
    if (is_numeric(next_code_point(text, after))) return at == begin ? after : at;
  return at;
}

size_t gpt2_word_end(std::string_view text, size_t begin) {
  if (text[begin] == '\'')
    if (const size_t length = contraction(text.substr(begin))) return begin + length;
  size_t at = begin + (text[begin] == ' ' ? 1 : 0);
  if (at == text.size()) return at;
  const Kind kind = next_kind(text, at);
  return kind == Kind::kSpace ? space_end(text, begin) : run_end(text, at, kind);
}

}  // namespace mtlora
