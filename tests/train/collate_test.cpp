// Examples → batches without padding, and shards of equal work.

#include <cmath>
#include <set>

#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

EncodedSet three() {
  return EncodedSet({{{1, 2, 3}, {0, 0, 1}, 1.0}, {{4, 5}, {0, 1}, 0.0}, {{6}, {0}, NAN}});
}

std::vector<int64_t> list(const Tensor& t) {
  const int64_t* at = t.data_ptr<int64_t>();
  return {at, at + t.numel()};
}

EncodedSet of_lengths(const std::vector<size_t>& lengths) {
  std::vector<EncodedExample> examples;
  for (const size_t n : lengths)
    examples.push_back({std::vector<int32_t>(n, 1), std::vector<int32_t>(n, 0), 0.0});
  return EncodedSet(examples);
}

}  // namespace

TEST_CASE("a batch is its sequences one after another", "[train]") {
  const Batch batch = collate(three(), {{1, 8}, {0, 9}}, {});
  CHECK(list(batch.ids) == std::vector<int64_t>{4, 5, 1, 2, 3});
  CHECK(list(batch.segments) == std::vector<int64_t>{0, 1, 0, 0, 1});
  CHECK(list(batch.positions) == std::vector<int64_t>{0, 1, 0, 1, 2});
  CHECK(list(batch.first) == std::vector<int64_t>{0, 2});
  CHECK(*batch.packing.offsets == std::vector<int32_t>{0, 2, 5});
  CHECK(batch.packing.longest == 3);
  CHECK(batch.sequences() == 2);
  CHECK(list(batch.labels) == std::vector<int64_t>{0, 1});
  CHECK(list(batch.rows) == std::vector<int64_t>{row_identity(8, 0), row_identity(8, 1),
                                                 row_identity(9, 0), row_identity(9, 1),
                                                 row_identity(9, 2)});
}

TEST_CASE("labels are classes or values, and left out where one is unknown", "[train]") {
  const Tensor values = collate(three(), {{0, 0}, {1, 1}}, {.is_regression = true}).labels;
  CHECK(values.scalar_type() == torch::kFloat);
  CHECK(torch::equal(values, torch::tensor({1.0F, 0.0F})));
  CHECK(!collate(three(), {{0, 0}, {2, 1}}, {}).labels.defined());
}

TEST_CASE("filler follows the last sequence", "[train]") {
  const Batch batch = collate(three(), {{0, 0}, {1, 1}}, {.round_tokens_to = 8});
  CHECK(batch.ids.size(0) == 8);
  for (const Tensor& column : {batch.positions, batch.segments, batch.rows})
    CHECK(column.size(0) == 8);
  CHECK(batch.packing.offsets->back() == 5);
  CHECK(collate(three(), {{0, 0}, {1, 1}}, {.round_tokens_to = 5}).ids.size(0) == 5);
}

TEST_CASE("shards hold every item once, and about as many tokens", "[train]") {
  Random random(1);
  std::vector<size_t> lengths;
  for (int i = 0; i < 50; ++i) lengths.push_back(1 + random.below(100));
  const EncodedSet set = of_lengths(lengths);
  for (const size_t count : {1, 2, 3, 7}) {
    CAPTURE(count);
    const auto shards = cut_shards(set, items_until(set.size()), count);
    REQUIRE(shards.size() == count);
    std::set<int64_t> seen;
    int64_t least = set.tokens(), most = 0, items = 0;
    for (const auto& shard : shards) {
      int64_t tokens = 0;
      for (const Item& item : shard) {
        CHECK(item.index == item.position);
        seen.insert(item.index);
        tokens += set.length(item.index);
        ++items;
      }
      least = std::min(least, tokens);
      most = std::max(most, tokens);
    }
    CHECK(items == 50);
    CHECK(seen.size() == 50);
    CHECK(most - least <= 100);  // never more than the longest
  }
}

TEST_CASE("fewer items than shards leave some empty", "[train]") {
  const auto shards = cut_shards(of_lengths({4, 9}), items_until(2), 4);
  REQUIRE(shards.size() == 4);
  CHECK(shards[0].size() == 1);
  CHECK(shards[0][0].index == 1);  // the longest first
  CHECK(shards[1].size() == 1);
  CHECK(shards[2].empty());
  CHECK(shards[3].empty());
}
