#include "lib/weights/dequantize.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "lib/core/error.h"
#include "lib/weights/k_quants.h"

namespace mtlora {
namespace {

using ggml::bits16, ggml::Byte, ggml::half, ggml::nibble;

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

// Element i of 32, its low four bits as nibbles, its fifth in the 32 bits `high` before them.
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

void block_iq4_nl(const Byte* in, float* out) {
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = d * ggml::kIq4Values[nibble(in + 2, i)];
}

struct Known {
  uint32_t id;
  void (*block)(const Byte* in, float* out);
};
constexpr std::array kKnown{
    Known{0, block_f32},         Known{1, block_f16},         Known{30, block_bf16},
    Known{8, block_q8_0},        Known{2, block_q4_0},        Known{3, block_q4_1},
    Known{6, block_q5_0},        Known{7, block_q5_1},        Known{10, ggml::block_q2_k},
    Known{11, ggml::block_q3_k}, Known{12, ggml::block_q4_k}, Known{13, ggml::block_q5_k},
    Known{14, ggml::block_q6_k}, Known{20, block_iq4_nl},     Known{23, ggml::block_iq4_xs}};

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
