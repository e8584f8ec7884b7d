// Randomness as a function of named keys, never a stream: the same keys give the same numbers,
// whatever was drawn before, on any number of threads. Philox4x32-10 (Salmon et al. 2011, "Parallel
// random numbers: as easy as 1, 2, 3").
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mtlora {

/// Ten rounds of Philox4x32: 128 random bits for one (counter, key).
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// A 64-bit hash of x (the finaliser of SplitMix64); a bijection.
constexpr uint64_t mix64(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// One key of two.
constexpr uint64_t combine(uint64_t a, uint64_t b) {
  return mix64(a + 0x9e3779b97f4a7c15ULL + mix64(b));
}

/// A key of a name (FNV-1a, then mixed).
uint64_t name_key(std::string_view name);

/// Numbers 0, 1, 2, … of one key.
class Random {
 public:
  explicit Random(uint64_t key) : key_(key) {}
  uint32_t bits();                 ///< 32 random bits
  double uniform();                ///< in [0, 1)
  double normal();                 ///< mean 0, variance 1 (Box-Muller)
  uint64_t below(uint64_t bound);  ///< in [0, bound), without bias; bound > 0

 private:
  uint64_t key_, block_ = 0;
  std::array<uint32_t, 4> drawn_{};
  int left_ = 0;
};

/// The numbers 0 … count-1 in the order that belongs to `key` (Fisher-Yates).
std::vector<int64_t> permutation(int64_t count, uint64_t key);

}  // namespace mtlora
