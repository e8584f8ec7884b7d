#include "lib/text/charsmap.h"

#include "lib/core/error.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

constexpr size_t kLongestCluster = 5;  // in bytes; a longer one is looked up by its code points

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

uint32_t label(uint32_t unit) {
  return unit & (1u << 31 | 0xFF);
}

uint32_t offset(uint32_t unit) {
  return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

bool ends_key(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}

uint32_t value(uint32_t leaf) {
  return leaf & ~(1u << 31);
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes) {
  const size_t size = bytes.size() < 4 ? 0 : little_endian(bytes);
  if (size < 4 || size % 4 != 0 || size > bytes.size() - 4)
    fail("the precompiled_charsmap of {} bytes is cut off or none", bytes.size());
  for (size_t at = 4; at < 4 + size; at += 4) units_.push_back(little_endian(bytes.substr(at)));
  texts_ = bytes.substr(4 + size);
  if (invalid_utf8(texts_)) fail("the texts of the precompiled_charsmap are not UTF-8");
}

std::optional<std::string_view> Charsmap::find(std::string_view text) const {
  size_t at = offset(units_[0]);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || label(units_[at]) != byte) return std::nullopt;
    const uint32_t unit = units_[at];
    at ^= offset(unit);
    if (!ends_key(unit)) continue;
    const size_t begin = at < units_.size() ? value(units_[at]) : texts_.size();
    if (begin >= texts_.size()) return std::nullopt;
    return std::string_view(texts_).substr(begin, texts_.find('\0', begin) - begin);
  }
  return std::nullopt;
}

void Charsmap::append(std::string_view text, std::string& out) const {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    next_grapheme(text, at);
    const std::string_view cluster = text.substr(begin, at - begin);
    const auto whole = cluster.size() <= kLongestCluster ? find(cluster) : std::nullopt;
    if (whole) {
      out += *whole;
      continue;
    }
    for (size_t from = 0, to = 0; to < cluster.size(); from = to) {
      next_code_point(cluster, to);
      const std::string_view part = cluster.substr(from, to - from);
      out += find(part).value_or(part);
    }
  }
}

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) fail("Base64 of {} characters is cut off", text.size());
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == kDigits.npos) fail("'{}' is no digit of Base64", c);
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

}  // namespace mtlora
