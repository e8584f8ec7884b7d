// Dropout as a pure function: whether channel c of row r is kept depends on (key, r, c) alone,
// never on where the row lies in a batch, on threads, or on what was drawn before.
//
//   h = combine(key, row)                          64 bits; a = its low half, b = its high half
//   x = (channel · 0x9e3779b1) ^ a
//   x = (x ^ x >> 15) · 0x85ebca6b ^ b
//   x = (x ^ x >> 13) · 0xc2b2ae35
//   kept  <=>  (x ^ x >> 16) >= p · 2³²            kept values are multiplied by 1 / (1 - p)
//
// Constants and rounds: the finaliser of MurmurHash3 (Appleby 2011), with the row's key entering
// before both rounds. The AVX-512 form in cpu/vector.h gives the same bits.
#pragma once

#include <cstdint>

#include "lib/core/random.h"

namespace mtlora::backend {

/// What a key and a row contribute to the bits of all the row's channels.
struct MaskRow {
  uint32_t before, between;
};

constexpr MaskRow mask_row(uint64_t key, int64_t row) {
  const uint64_t hash = combine(key, static_cast<uint64_t>(row));
  return {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)};
}

/// 32 bits for one channel of a row.
constexpr uint32_t mask_bits(MaskRow row, uint32_t channel) {
  uint32_t x = (channel * 0x9e3779b1u) ^ row.before;
  x = ((x ^ (x >> 15)) * 0x85ebca6bu) ^ row.between;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

/// Bits below this are dropped; p in [0, 1).
constexpr uint32_t mask_threshold(double p) {
  return static_cast<uint32_t>(p * 4294967296.0);
}

/// Whether `channel` of `row` survives dropout with probability p under `key`.
constexpr bool keep(uint64_t key, int64_t row, uint32_t channel, double p) {
  return mask_bits(mask_row(key, row), channel) >= mask_threshold(p);
}

/// The key of one head of an attention's dropout; rows are queries, channels the keys' places in
/// their sequence.
constexpr uint64_t head_key(uint64_t key, int64_t head) {
  return combine(key, static_cast<uint64_t>(head));
}

}  // namespace mtlora::backend
