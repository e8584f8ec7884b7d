// CRC-32 as zlib has it, for comparing with the goldens of scripts/golden/.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mtlora::test {

class Crc32 {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) {
      crc_ ^= static_cast<unsigned char>(c);
      crc_ = (crc_ >> 8) ^ table()[crc_ & 0xFF];
    }
  }
  /// int32, little-endian.
  void add(std::span<const int32_t> values) {
    for (const int32_t value : values)
      for (int shift = 0; shift < 32; shift += 8) {
        const char byte = static_cast<char>(static_cast<uint32_t>(value) >> shift);
        add(std::string_view(&byte, 1));
      }
  }
  std::string hex() const { return fmt::format("{:08x}", ~crc_); }

 private:
  static const std::array<uint32_t, 256>& table() {
    static const auto made = [] {
      std::array<uint32_t, 256> rows;
      for (uint32_t i = 0; i < 256; ++i) {
        rows[i] = i;
        for (int bit = 0; bit < 8; ++bit)
          rows[i] = (rows[i] >> 1) ^ (rows[i] & 1 ? 0xEDB88320u : 0);
      }
      return rows;
    }();
    return made;
  }
  uint32_t crc_ = ~0u;
};

}  // namespace mtlora::test
