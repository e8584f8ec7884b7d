// Which examples a step is of, with accumulation.

#include "lib/train/micro_batches.h"

#include "tests/support/test.h"

using namespace mtlora;

TEST_CASE("a step has `accumulate` micro-batches, an epoch's last one the rest", "[train]") {
  Sampler sampler(10, 2, 0, Sampler::Order::as_given);  // 5 micro-batches an epoch
  const auto indices = [&](int64_t step) {
    std::vector<std::vector<int64_t>> all;
    for (const auto& items : micro_batches(sampler, step, 2)) {
      all.emplace_back();
      for (const Item& item : items) all.back().push_back(item.index);
    }
    return all;
  };
  using Indices = std::vector<std::vector<int64_t>>;
  CHECK(indices(0) == Indices{{0, 1}, {2, 3}});
  CHECK(indices(1) == Indices{{4, 5}, {6, 7}});
  CHECK(indices(2) == Indices{{8, 9}});
  CHECK(indices(3) == indices(0));  // the next epoch
}
