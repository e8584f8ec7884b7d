#include "lib/core/random.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

using namespace mtlora;

TEST_CASE("Philox gives the published known answers", "[core]") {
  // Random123's kat_vectors, philox4x32 10 rounds.
  CHECK(philox({0, 0, 0, 0}, {0, 0}) ==
        std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a permutation holds every number once and belongs to its key", "[core]") {
  auto order = permutation(1000, 7);
  CHECK(order == permutation(1000, 7));
  CHECK(order != permutation(1000, 8));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) REQUIRE(order[static_cast<size_t>(i)] == i);
  CHECK(permutation(0, 7).empty());
}

TEST_CASE("uniform and normal numbers have their moments", "[core]") {
  Random random(3);
  const int count = 200000;
  double sum = 0, squares = 0, uniform = 0;
  for (int i = 0; i < count; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
    uniform += random.uniform();
  }
  // five standard errors
  CHECK(std::abs(sum / count) < 5 / std::sqrt(count));
  CHECK(std::abs(squares / count - 1) < 5 * std::sqrt(2.0 / count));
  CHECK(std::abs(uniform / count - 0.5) < 5 * std::sqrt(1.0 / 12 / count));
}
