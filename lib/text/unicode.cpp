#include "lib/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "lib/text/unicode_tables.h"

namespace mtlora {
namespace {

bool within(char32_t c, std::span<const CodePointRange> ranges) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t x, const CodePointRange& range) { return x < range.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

int combining_class(char32_t c) {
  if (c < 0x300 || within(c, kNotCombining)) return 0;
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

}  // namespace

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return ++at, lead;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t c = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) c = (c << 6) | (byte(i) & 0x3Fu);
  at += length;
  return c;
}

void append_utf8(char32_t c, std::string& out) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(length));
}

size_t display_width(std::string_view text) {
  if (invalid_utf8(text)) return text.size();
  size_t columns = 0;
  for (size_t at = 0; at < text.size();)
    columns += static_cast<size_t>(
        utf8proc_charwidth(static_cast<utf8proc_int32_t>(next_code_point(text, at))));
  return columns;
}

bool is_dropped(char32_t c) {
  if (c == 0 || c == 0xFFFD) return true;
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const auto kind = category(c);
  const bool other =
      kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_CO;
  return other && !within(c, kNotFormat);
}

bool is_whitespace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_ideograph(char32_t c) {
  return c >= 0x3400 && within(c, kIdeographs);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
           (c >= 0x7B && c <= 0x7E);
  }
  if (within(c, kOncePunctuation)) return true;
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO &&
         !within(c, kNotPunctuation);
}

bool is_nonspacing_mark(char32_t c) {
  if (within(c, kOnceMarks)) return true;
  return category(c) == UTF8PROC_CATEGORY_MN && !within(c, kNotMarks);
}

bool is_letter(char32_t c) {
  const auto kind = category(c);
  return (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO) || within(c, kNewLetters);
}

bool is_number(char32_t c) {
  const auto kind = category(c);
  return (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO) || within(c, kNewNumbers);
}

namespace {

void append_parts(char32_t c, utf8proc_option_t options, std::vector<char32_t>& out) {
  std::array<utf8proc_int32_t, 32> parts;
  int boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(),
                                             parts.size(), options, &boundary);
  for (long i = 0; i < count; ++i)
    out.push_back(static_cast<char32_t>(parts[static_cast<size_t>(i)]));
}

// Canonical order: marks that follow one another are sorted by their combining class.
void set_canonical_order(std::vector<char32_t>& result) {
  for (auto at = result.begin(); at != result.end();) {
    if (combining_class(*at) == 0) {
      ++at;
      continue;
    }
    const auto end = std::find_if(at, result.end(), [](char32_t c) { return !combining_class(c); });
    std::stable_sort(
        at, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    at = end;
  }
}

// The code point that two compose to, 0 where they do not.
char32_t composed(char32_t first, char32_t second) {
  std::array<utf8proc_int32_t, 2> pair = {static_cast<utf8proc_int32_t>(first),
                                          static_cast<utf8proc_int32_t>(second)};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto length = utf8proc_normalize_utf32(pair.data(), pair.size(), options);
  const auto made = static_cast<char32_t>(pair[0]);
  return length == 1 && !within(made, kNotDecomposed) ? made : 0;
}

}  // namespace

std::vector<char32_t> decompose(std::u32string_view text) {
  std::vector<char32_t> result;
  result.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0xC0 || within(c, kNotDecomposed))
      result.push_back(c);
    else
      append_parts(c, UTF8PROC_DECOMPOSE, result);
  }
  set_canonical_order(result);
  return result;
}

std::vector<char32_t> decompose_compatible(std::u32string_view text) {
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  std::vector<char32_t> result;
  result.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0xA0 || within(c, kNotCompatible) || within(c, kNotDecomposed))
      result.push_back(c);
    else
      append_parts(c, options, result);
  }
  set_canonical_order(result);
  return result;
}

void compose(std::vector<char32_t>& text) {
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t starter = kNone, length = 0;
  int last_class = 0;  // of what stands between the starter and here, 0 where nothing does
  for (const char32_t c : text) {
    const int own_class = combining_class(c);
    const bool is_blocked = length - starter != 1 && (last_class == 0 || last_class >= own_class);
    const char32_t made =
        starter == kNone || is_blocked || c < 0x300 ? 0 : composed(text[starter], c);
    if (made != 0) {
      text[starter] = made;
      continue;
    }
    if (own_class == 0) starter = length;
    last_class = own_class;
    text[length++] = c;
  }
  text.resize(length);
}

void next_grapheme(std::string_view text, size_t& at) {
  // A mark that utf8proc knows stands for one that it does not.
  const auto known = [](char32_t c) { return c >= 0x300 && within(c, kExtending) ? U'\u0301' : c; };
  utf8proc_int32_t state = 0;
  char32_t before = known(next_code_point(text, at));
  while (at < text.size()) {
    size_t after = at;
    const char32_t c = known(next_code_point(text, after));
    const bool is_plain = c < 0x80 && before < 0x80 && before != '\r';
    if (is_plain || utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                                     static_cast<utf8proc_int32_t>(c), &state))
      return;
    before = c;
    at = after;
  }
}

void append_lower(char32_t c, std::string& out) {
  if (c == 0x130) {
    out += "i\u0307";
    return;
  }
  for (const LowerRange& range : kNewLower) {
    if (c >= range.first && c <= range.last) {
      append_utf8(c - range.first + range.lower, out);
      return;
    }
  }
  append_utf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
}

}  // namespace mtlora
