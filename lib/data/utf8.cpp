#include "lib/data/utf8.h"

#include <cstdint>
#include <cstring>

#include "lib/core/error.h"

namespace mtlora {
namespace {

// The bytes after `first` that belong to its character, and the range of the first of them; 0 where
// no character begins with `first`. (The Unicode Standard, table 3-7.)
struct Tail {
  size_t length;
  unsigned char low = 0x80, high = 0xBF;
};
Tail tail_of(unsigned char first) {
  if (first < 0xC2) return {0};
  if (first < 0xE0) return {1};
  if (first == 0xE0) return {2, 0xA0};
  if (first == 0xED) return {2, 0x80, 0x9F};
  if (first < 0xF0) return {2};
  if (first == 0xF0) return {3, 0x90};
  if (first < 0xF4) return {3};
  if (first == 0xF4) return {3, 0x80, 0x8F};
  return {0};
}

// Length of the character at the begin of `bytes`, which is not ASCII; 0 when it is not valid.
size_t character_length(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const Tail tail = tail_of(byte(0));
  if (tail.length == 0 || tail.length >= bytes.size()) return 0;
  if (byte(1) < tail.low || byte(1) > tail.high) return 0;
  for (size_t i = 2; i <= tail.length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  return 1 + tail.length;
}

}  // namespace

size_t invalid_utf8_at(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    uint64_t eight = 0;
    if (at + 8 <= bytes.size()) std::memcpy(&eight, bytes.data() + at, 8);
    if (at + 8 <= bytes.size() && (eight & 0x8080808080808080u) == 0) {
      at += 8;
    } else if (static_cast<unsigned char>(bytes[at]) < 0x80) {
      ++at;
    } else if (const size_t length = character_length(bytes.substr(at))) {
      at += length;
    } else {
      return at;
    }
  }
  return std::string_view::npos;
}

std::string_view without_bom(std::string_view bytes, const std::string& origin) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"))
    fail("{}: is UTF-16; save it as UTF-8", origin);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  return bytes;
}

}  // namespace mtlora
