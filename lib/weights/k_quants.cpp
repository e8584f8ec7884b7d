#include "lib/weights/k_quants.h"

namespace mtlora::ggml {
namespace {

// Element i of 256 that lie as two bits each, four parts of 32 to every 32 bytes.
int two_bits(const Byte* in, int i) {
  return (in[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2) & 3;
}

// Element i of 256 that lie as one bit each, eight parts of 32 in 32 bytes.
int one_bit(const Byte* in, int i) {
  return (in[i % 32] >> i / 32) & 1;
}

// Element i of 256 that lie as four bits each, two parts of 32 to every 32 bytes.
int four_bits(const Byte* in, int i) {
  return (in[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4) & 15;
}

// Scale and minimum of part 0 … 7, six bits each in 12 bytes.
struct ScaleAndMinimum {
  float scale, minimum;
};
ScaleAndMinimum six_bits(const Byte* packed, int part) {
  const int low = part % 4;
  const int scale = part < 4 ? packed[low] & 63 : (packed[8 + low] & 15) | (packed[low] >> 6) << 4;
  const int minimum =
      part < 4 ? packed[4 + low] & 63 : (packed[8 + low] >> 4) | (packed[4 + low] >> 6) << 4;
  return {static_cast<float>(scale), static_cast<float>(minimum)};
}

// The signed scale of part 0 … 15, six bits in 12 bytes.
int signed_six_bits(const Byte* packed, int part) {
  const int low = part < 8 ? packed[part] & 15 : packed[part - 8] >> 4;
  return (low | ((packed[8 + part % 4] >> part / 4 * 2) & 3) << 4) - 32;
}

}  // namespace

const float kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                              1,    13,   25,  38,  53,  69,  89,  113};

// 16 bytes of scale and minimum, 64 bytes of two bits, d, minimum.
void block_q2_k(const Byte* in, float* out) {
  const float d = half(in + 80), minimum = half(in + 82);
  for (int part = 0; part < 16; ++part) {
    const float by = d * static_cast<float>(in[part] & 15);
    const float less = minimum * static_cast<float>(in[part] >> 4);
    for (int i = part * 16; i < part * 16 + 16; ++i)
      out[i] = by * static_cast<float>(two_bits(in + 16, i)) - less;
  }
}

// 32 bytes of a third bit, 0 where 4 is taken away, 64 bytes of two bits, 12 of scales, d.
void block_q3_k(const Byte* in, float* out) {
  const float d = half(in + 108);
  for (int part = 0; part < 16; ++part) {
    const float by = d * static_cast<float>(signed_six_bits(in + 96, part));
    for (int i = part * 16; i < part * 16 + 16; ++i)
      out[i] = by * static_cast<float>(two_bits(in + 32, i) - (one_bit(in, i) == 0 ? 4 : 0));
  }
}

// d, minimum, 12 bytes of scales and minima, 128 bytes of four bits.
void block_q4_k(const Byte* in, float* out) {
  const float d = half(in), minimum = half(in + 2);
  for (int part = 0; part < 8; ++part) {
    const auto packed = six_bits(in + 4, part);
    const float by = d * packed.scale, less = minimum * packed.minimum;
    for (int i = part * 32; i < part * 32 + 32; ++i)
      out[i] = by * static_cast<float>(four_bits(in + 16, i)) - less;
  }
}

// d, minimum, 12 bytes of scales and minima, 32 bytes of a fifth bit, 128 bytes of four bits.
void block_q5_k(const Byte* in, float* out) {
  const float d = half(in), minimum = half(in + 2);
  for (int part = 0; part < 8; ++part) {
    const auto packed = six_bits(in + 4, part);
    const float by = d * packed.scale, less = minimum * packed.minimum;
    for (int i = part * 32; i < part * 32 + 32; ++i)
      out[i] = by * static_cast<float>(four_bits(in + 48, i) | one_bit(in + 16, i) << 4) - less;
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

// d, two high bits of each of 8 scales, their four low bits, 128 bytes of four bits.
void block_iq4_xs(const Byte* in, float* out) {
  const float d = half(in);
  const int high = bits16(in + 2);
  for (int part = 0; part < 8; ++part) {
    const int low = (in[4 + part / 2] >> part % 2 * 4) & 15;
    const float by = d * static_cast<float>((low | ((high >> part * 2) & 3) << 4) - 32);
    for (int i = 0; i < 32; ++i)
      out[part * 32 + i] = by * kIq4Values[nibble(in + 8 + part * 16, i)];
  }
}

}  // namespace mtlora::ggml
