#include "lib/weights/dequantize.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "lib/core/error.h"

namespace mtlora {
namespace {

using Byte = unsigned char;

uint16_t bits16(const Byte* at) {
  return static_cast<uint16_t>(at[0] | at[1] << 8);
}

// IEEE half to float, exactly: the exponent is moved from base 15 to base 127.
float half(const Byte* at) {
  const uint32_t bits = bits16(at), sign = (bits & 0x8000) << 16, magnitude = bits & 0x7FFF;
  constexpr float kSmallest = 0x1p-24f;  // of the subnormal ones
  if (magnitude < 0x0400)
    return std::bit_cast<float>(sign |
                                std::bit_cast<uint32_t>(static_cast<float>(magnitude) * kSmallest));
  const uint32_t exponent = magnitude >= 0x7C00 ? 0x7F800000 : (magnitude << 13) + (112u << 23);
  return std::bit_cast<float>(sign | exponent | (magnitude & 0x3FF) << 13);
}

void block_f32(const Byte* in, float* out) {
  std::memcpy(out, in, sizeof *out);
}
void block_f16(const Byte* in, float* out) {
  *out = half(in);
}
void block_bf16(const Byte* in, float* out) {
  *out = std::bit_cast<float>(static_cast<uint32_t>(bits16(in)) << 16);
}

void block_q8_0(const Byte* in, float* out) {
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
}

// Element i of 32 that lie as low nibbles (0 … 15) and high nibbles (16 … 31) of 16 bytes.
int nibble(const Byte* in, int i) {
  return i < 16 ? in[i] & 15 : in[i - 16] >> 4;
}

// The same with a fifth bit from `high`, 32 bits before them.
int five_bits(const Byte* high, int i) {
  return nibble(high + 4, i) | ((high[i / 8] >> (i % 8)) & 1) << 4;
}

void block_q4_0(const Byte* in, float* out) {
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(in + 2, i) - 8);
}

void block_q4_1(const Byte* in, float* out) {
  const float d = half(in), m = half(in + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(in + 4, i)) + m;
}

void block_q5_0(const Byte* in, float* out) {
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(in + 2, i) - 16);
}

void block_q5_1(const Byte* in, float* out) {
  const float d = half(in), m = half(in + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(in + 4, i)) + m;
}

// d, minimum, 12 bytes of 8 scales and 8 minima of six bits, 128 bytes of nibbles.
void block_q4_k(const Byte* in, float* out) {
  const float d = half(in), minimum = half(in + 2);
  const Byte *scales = in + 4, *quants = in + 16;
  for (int part = 0; part < 8; ++part) {
    const int low = part % 4;
    const int scale =
        part < 4 ? scales[low] & 63 : (scales[8 + low] & 15) | (scales[low] >> 6) << 4;
    const int shift =
        part < 4 ? scales[4 + low] & 63 : (scales[8 + low] >> 4) | (scales[4 + low] >> 6) << 4;
    const float by = d * static_cast<float>(scale), less = minimum * static_cast<float>(shift);
    for (int i = 0; i < 32; ++i) {
      const int q = (quants[part / 2 * 32 + i] >> part % 2 * 4) & 15;
      out[part * 32 + i] = by * static_cast<float>(q) - less;
    }
  }
}

// 128 bytes of low nibbles, 64 of two high bits, 16 scales, d.
void block_q6_k(const Byte* in, float* out) {
  const Byte *low = in, *high = in + 128, *scales = in + 192;
  const float d = half(in + 208);
  for (int i = 0; i < 256; ++i) {
    const int part = i / 128, quarter = i % 128 / 32, at = i % 32;
    const int four = (low[part * 64 + quarter % 2 * 32 + at] >> quarter / 2 * 4) & 15;
    const int two = (high[part * 32 + at] >> quarter * 2) & 3;
    const float by = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    out[i] = by * static_cast<float>((four | two << 4) - 32);
  }
}

struct Known {
  uint32_t id;
  void (*block)(const Byte* in, float* out);
};
constexpr std::array kKnown{Known{0, block_f32},  Known{1, block_f16},  Known{30, block_bf16},
                            Known{8, block_q8_0}, Known{2, block_q4_0}, Known{3, block_q4_1},
                            Known{6, block_q5_0}, Known{7, block_q5_1}, Known{12, block_q4_k},
                            Known{14, block_q6_k}};

const Known* find(const GgmlType& type) {
  const auto found = std::find_if(kKnown.begin(), kKnown.end(),
                                  [&](const Known& known) { return known.id == type.id; });
  return found == kKnown.end() ? nullptr : &*found;
}

}  // namespace

bool can_dequantize(const GgmlType& type) {
  return find(type) != nullptr;
}

std::string dequantizable_types() {
  std::vector<std::string_view> names;
  for (const Known& known : kKnown) names.push_back(find_ggml_type(known.id)->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

void dequantize(const GgmlType& type, std::string_view bytes, float* values) {
  const Known* known = find(type);
  if (!known) fail("ggml's type {} is not implemented", type.name);
  const auto* in = reinterpret_cast<const Byte*>(bytes.data());
  const auto blocks = static_cast<int64_t>(bytes.size()) / type.block_bytes;
  for (int64_t i = 0; i < blocks; ++i)
    known->block(in + i * type.block_bytes, values + i * type.block_elements);
}

}  // namespace mtlora
