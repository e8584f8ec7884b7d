#include "lib/text/byte_words.h"

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

// The end of what of "'s", "'LL", … begins at an apostrophe, in either case (U+017F, the long s, is
// an s to that); `begin` where there is none.
size_t any_case_contraction_end(std::string_view text, size_t begin) {
  const auto lower = [&](size_t at) -> char {
    if (at >= text.size()) return 0;
    return text[at] >= 'A' && text[at] <= 'Z' ? static_cast<char>(text[at] - 'A' + 'a') : text[at];
  };
  const char first = lower(begin + 1), second = lower(begin + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return begin + 2;
  if (text.substr(begin + 1).starts_with("\u017f")) return begin + 3;
  const bool is_double = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                         (first == 'l' && second == 'l');
  return is_double ? begin + 3 : begin;
}

bool is_line_end(char c) {
  return c == '\r' || c == '\n';
}

// White space as Llama 3's pattern cuts it: up to its last line end, else as GPT-2's does.
size_t llama3_space_end(std::string_view text, size_t begin) {
  const size_t end = run_end(text, begin, Kind::kSpace);
  for (size_t at = end; at > begin; --at)
    if (is_line_end(text[at - 1])) return at;
  return space_end(text, begin);
}

// Of a run of signs and the line ends behind it.
size_t signs_end(std::string_view text, size_t at) {
  at = run_end(text, at, Kind::kOther);
  while (at < text.size() && is_line_end(text[at])) ++at;
  return at;
}

size_t three_numbers_end(std::string_view text, size_t at) {
  for (int count = 0; count < 3 && at < text.size(); ++count) {
    size_t after = at;
    if (next_kind(text, after) != Kind::kNumber) break;
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

size_t llama3_word_end(std::string_view text, size_t begin) {
  if (text[begin] == '\'')
    if (const size_t end = any_case_contraction_end(text, begin); end > begin) return end;
  size_t second = begin;
  const Kind kind = next_kind(text, second);
  if (kind == Kind::kLetter) return run_end(text, begin, Kind::kLetter);
  if (kind == Kind::kNumber) return three_numbers_end(text, begin);
  size_t third = second;
  const bool has_next = second < text.size();
  const Kind next = has_next ? next_kind(text, third) : Kind::kSpace;
  // one sign or space goes with the letters behind it, a space with signs
  if (next == Kind::kLetter && !is_line_end(text[begin])) return run_end(text, second, next);
  if (kind == Kind::kOther) return signs_end(text, begin);
  if (next == Kind::kOther && text[begin] == ' ') return signs_end(text, second);
  return llama3_space_end(text, begin);
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
