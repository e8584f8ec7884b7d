// How the numbers inside ggml's blocks are stored. Source: ggml, ggml-common.h.
#pragma once

#include <bit>
#include <cstdint>

namespace mtlora::ggml {

using Byte = unsigned char;

inline uint16_t bits16(const Byte* at) {
  return static_cast<uint16_t>(at[0] | at[1] << 8);
}

/// IEEE half to float, exactly: the exponent is moved from base 15 to base 127.
inline float half(const Byte* at) {
  const uint32_t bits = bits16(at), sign = (bits & 0x8000) << 16, magnitude = bits & 0x7FFF;
  constexpr float kSmallest = 0x1p-24f;  // of the subnormal ones
  if (magnitude < 0x0400)
    return std::bit_cast<float>(sign |
                                std::bit_cast<uint32_t>(static_cast<float>(magnitude) * kSmallest));
  const uint32_t exponent = magnitude >= 0x7C00 ? 0x7F800000 : (magnitude << 13) + (112u << 23);
  return std::bit_cast<float>(sign | exponent | (magnitude & 0x3FF) << 13);
}

/// Element i of 32 that lie as low nibbles (0 … 15) and high nibbles (16 … 31) of 16 bytes.
inline int nibble(const Byte* in, int i) {
  return i < 16 ? in[i] & 15 : in[i - 16] >> 4;
}

}  // namespace mtlora::ggml
