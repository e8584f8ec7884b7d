// The order of examples.

#include "lib/data/sampler.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "lib/core/error.h"

using namespace mtlora;
using Order = Sampler::Order;

namespace {

std::vector<int64_t> epoch_of(Sampler& sampler, int64_t epoch) {
  std::vector<int64_t> indices;
  for (int64_t step = 0; step < sampler.steps_per_epoch(); ++step)
    for (const auto& draw : sampler.batch(epoch * sampler.steps_per_epoch() + step)) {
      CHECK(draw.position == static_cast<int64_t>(indices.size()));
      indices.push_back(draw.index);
    }
  return indices;
}

}  // namespace

TEST_CASE("an epoch draws every example once; its last batch may be smaller", "[data]") {
  Sampler sampler(10, 4, 1, Order::shuffled);
  CHECK(sampler.steps_per_epoch() == 3);
  CHECK(sampler.batch(2).size() == 2);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> indices = epoch_of(sampler, epoch);
    std::sort(indices.begin(), indices.end());
    CHECK(indices == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }
}

TEST_CASE("a batch depends on seed and step alone", "[data]") {
  Sampler forward(100, 8, 7, Order::shuffled);
  std::vector<std::vector<Sampler::Draw>> batches;
  for (int64_t step = 0; step < 40; ++step) batches.push_back(forward.batch(step));
  Sampler backward(100, 8, 7, Order::shuffled);
  for (int64_t step = 39; step >= 0; --step)
    CHECK(backward.batch(step) == batches[static_cast<size_t>(step)]);
}

TEST_CASE("every epoch and every seed has an order of its own", "[data]") {
  Sampler one(50, 50, 1, Order::shuffled), two(50, 50, 2, Order::shuffled);
  CHECK(epoch_of(one, 0) != epoch_of(one, 1));
  CHECK(epoch_of(one, 0) != epoch_of(two, 0));
}

TEST_CASE("the batch size does not change an epoch's order", "[data]") {
  Sampler small(23, 3, 5, Order::shuffled), large(23, 16, 5, Order::shuffled);
  CHECK(epoch_of(small, 2) == epoch_of(large, 2));
}

TEST_CASE("examples are drawn as given where that is asked for", "[data]") {
  Sampler sampler(3, 2, 1, Order::as_given);
  using Draws = std::vector<Sampler::Draw>;
  CHECK(sampler.batch(0) == Draws{{0, 0}, {1, 1}});
  CHECK(sampler.batch(3) == Draws{{2, 2}});
}

TEST_CASE("nothing cannot be sampled", "[data]") {
  CHECK_THROWS_AS(Sampler(0, 1, 1, Order::shuffled), Error);
  CHECK_THROWS_AS(Sampler(1, 0, 1, Order::shuffled), Error);
}
