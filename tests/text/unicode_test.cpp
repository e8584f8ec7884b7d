#include "lib/text/unicode.h"

#include <catch2/catch.hpp>
#include <functional>
#include <sstream>

#include "lib/core/json.h"
#include "tests/support/paths.h"
#include "tests/text/hashing.h"

namespace mtlora {
namespace {

std::string utf8(char32_t c) {
  std::string bytes;
  append_utf8(c, bytes);
  return bytes;
}

// The classes of a code point, a bit each, as scripts/golden/code_points.py asks Hugging Face.
std::string classes(char32_t c) {
  const bool flags[] = {is_dropped(c),         is_whitespace(c), is_ideograph(c), is_punctuation(c),
                        is_nonspacing_mark(c), is_letter(c),     is_number(c)};
  unsigned bits = 0;
  for (size_t i = 0; i < std::size(flags); ++i) bits |= static_cast<unsigned>(flags[i]) << i;
  return std::string(1, static_cast<char>(bits));
}

std::string lower(char32_t c) {
  std::string bytes;
  append_lower(c, bytes);
  return bytes;
}

std::string in_utf8(const std::vector<char32_t>& code_points) {
  std::string bytes;
  for (const char32_t part : code_points) append_utf8(part, bytes);
  return bytes;
}

// NFD of the code point between marks that its combining class moves.
std::string nfd(char32_t c) {
  return in_utf8(decompose(std::u32string{U'\u0302', c, U'\u0317', U'\u0334'}));
}

// NFC of the code point and of its parts among marks.
std::string nfc(char32_t c) {
  std::u32string text;
  for (const char32_t part : decompose(std::u32string{c})) text += part;
  text += {U'\u0302', c, U'\u0317', U'\u0334', U'a', c, U'\u0301'};
  auto parts = decompose(text);
  compose(parts);
  return in_utf8(parts);
}

std::string nfkc(char32_t c) {
  auto parts = decompose_compatible(std::u32string{c, U'\u0301', U'\u0327'});
  compose(parts);
  return in_utf8(parts);
}

std::string nfkd(char32_t c) {
  return in_utf8(decompose_compatible(std::u32string{U'\u0302', c, U'\u0317'}));
}

// Whether the code point is of one cluster with a letter before it.
std::string clusters(char32_t c) {
  const std::string text = "A" + utf8(c);
  size_t at = 0;
  next_grapheme(text, at);
  return std::string(1, at == text.size() ? '\1' : '\0');
}

}  // namespace

TEST_CASE("every code point has Hugging Face's classes, lower case, normal forms and clusters",
          "[text]") {
  const Json golden = read_json(test::source_root() / "tests/golden/tokenizers/code_points.json");
  const std::pair<const char*, std::function<std::string(char32_t)>> kinds[] = {
      {"classes", classes}, {"lower", lower}, {"nfd", nfd},          {"nfc", nfc},
      {"nfkc", nfkc},       {"nfkd", nfkd},   {"clusters", clusters}};
  for (const auto& [kind, function] : kinds) {
    std::istringstream wanted(golden[kind].get<std::string>());
    int blocks = 0;
    for (char32_t begin = 0; begin < 0x110000; begin += 0x1000, ++blocks) {
      test::Crc32 crc;
      for (char32_t c = begin; c < begin + 0x1000; ++c)
        if (c < 0xD800 || c >= 0xE000) crc.add(std::string_view(function(c)));
      std::string hash;
      wanted >> hash;
      INFO(kind << " from " << std::hex << static_cast<uint32_t>(begin));
      CHECK(crc.hex() == hash);
    }
    CHECK(blocks == 272);
  }
}

TEST_CASE("code points survive the way to UTF-8 and back", "[text]") {
  int64_t passed = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string bytes = utf8(c);
    size_t at = 0;
    passed += !invalid_utf8(bytes) && next_code_point(bytes, at) == c && at == bytes.size();
  }
  CHECK(passed == 0x110000 - 0x800);
}

TEST_CASE("bytes that are not UTF-8 are found where they stand", "[text]") {
  const std::pair<std::string, size_t> cases[] = {
      {"\x80", 0},
      {"abc\xff", 3},
      {"abcdefgh\xc3", 8},              // cut off
      {"\xc0\xaf", 0},                  // overlong '/'
      {"\xe0\x80\xaf", 0},              // overlong in three bytes
      {"\xf0\x80\x80\xaf", 0},          // overlong in four
      {"caf\xc3\xa9 \xed\xa0\x80", 6},  // a surrogate
      {"\xed\xbf\xbf", 0},              // the last surrogate
      {"\xf4\x90\x80\x80", 0},          // beyond U+10FFFF
      {"\xf5\x80\x80\x80", 0},
      {"\xe2\x82 x", 0},
      {std::string(100, 'a') + "\xe9t\xe9", 100},  // Latin-1
  };
  for (const auto& [bytes, at] : cases) {
    INFO(at << " of " << bytes.size());
    REQUIRE(invalid_utf8(bytes));
    CHECK(*invalid_utf8(bytes) == at);
  }
  for (const char* good :
       {"", "plain ASCII of some length", "\xed\x9f\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(!invalid_utf8(good));
}

TEST_CASE("wide characters take two columns, marks none", "[text]") {
  CHECK(display_width("") == 0);
  CHECK(display_width("a ± b") == 5);
  CHECK(display_width("種seed") == 6);
  CHECK(display_width("e\u0301") == 1);
  CHECK(display_width("a\xff\xe7") == 3);
}

}  // namespace mtlora
