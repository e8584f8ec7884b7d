#include "lib/core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace mtlora {
namespace {

std::pair<uint32_t, uint32_t> multiply(uint32_t a, uint32_t b) {
  const uint64_t product = static_cast<uint64_t>(a) * b;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const auto [high0, low0] = multiply(0xD2511F53u, c[0]);
    const auto [high1, low1] = multiply(0xCD9E8D57u, c[2]);
    c = {high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

uint64_t name_key(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix64(hash);
}

uint32_t Random::bits() {
  if (left_ == 0) {
    drawn_ = philox({static_cast<uint32_t>(block_), static_cast<uint32_t>(block_ >> 32), 0, 0},
                    {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
    ++block_;
    left_ = 4;
  }
  return drawn_[static_cast<size_t>(--left_)];
}

double Random::uniform() {
  const uint64_t high = bits() >> 5, low = bits() >> 6;  // 53 bits
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

uint64_t Random::below(uint64_t bound) {
  const uint64_t refuse =
      (0 - bound) % bound;  // 2^64 mod bound: below it, numbers would repeat unevenly
  for (;;) {
    const uint64_t high = bits();
    const uint64_t drawn = (high << 32) | bits();
    if (drawn >= refuse) return drawn % bound;
  }
}

std::vector<int64_t> permutation(int64_t count, uint64_t key) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  Random random(key);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace mtlora
