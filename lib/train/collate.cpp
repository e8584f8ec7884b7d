#include "lib/train/collate.h"

#include <algorithm>
#include <cmath>

namespace mtlora {
namespace {

// [tokens] int64 of a vector that goes away: one copy.
Tensor column(const std::vector<int64_t>& values) {
  return torch::tensor(values, torch::kLong);
}

Tensor labels_of(const EncodedSet& set, const std::vector<Item>& items, bool is_regression) {
  std::vector<float> values;
  for (const Item& item : items) {
    if (std::isnan(set.label(item.index))) return {};
    values.push_back(static_cast<float>(set.label(item.index)));
  }
  const Tensor labels = torch::tensor(values, torch::kFloat);
  return is_regression ? labels : labels.to(torch::kLong);
}

}  // namespace

Batch collate(const EncodedSet& set, const std::vector<Item>& items,
              const CollateOptions& options) {
  std::vector<int64_t> ids, positions, segments, first, rows;
  auto offsets = std::make_shared<std::vector<int32_t>>(1, 0);
  Batch batch;
  for (const Item& item : items) {
    const auto tokens = set.ids(item.index), types = set.segments(item.index);
    const auto length = static_cast<int64_t>(tokens.size());
    first.push_back(static_cast<int64_t>(ids.size()));
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    segments.insert(segments.end(), types.begin(), types.end());
    for (int64_t t = 0; t < length; ++t) {
      positions.push_back(t);
      rows.push_back(row_identity(item.position, t));
    }
    offsets->push_back(static_cast<int32_t>(ids.size()));
    batch.packing.longest = std::max(batch.packing.longest, length);
  }
  const int64_t round = options.round_tokens_to;
  const auto whole =
      static_cast<size_t>((static_cast<int64_t>(ids.size()) + round - 1) / round * round);
  for (std::vector<int64_t>* v : {&ids, &positions, &segments, &rows}) v->resize(whole, 0);
  batch.packing.offsets = offsets;
  batch.ids = column(ids);
  batch.positions = column(positions);
  batch.segments = column(segments);
  batch.first = column(first);
  batch.rows = column(rows);
  batch.labels = labels_of(set, items, options.is_regression);
  return batch;
}

Batch collate_text(const EncodedSet& set, const std::vector<Item>& items) {
  Batch batch = collate(set, items, {});
  std::vector<int64_t> targets, labels;
  int64_t begin = 0;
  for (const Item& item : items) {
    const auto ids = set.ids(item.index), marks = set.segments(item.index);
    for (size_t t = 0; t + 1 < ids.size(); ++t) {
      if (marks[t + 1] != 1) continue;
      targets.push_back(begin + static_cast<int64_t>(t));
      labels.push_back(ids[t + 1]);
    }
    begin += static_cast<int64_t>(ids.size());
  }
  batch.targets = column(targets);
  batch.labels = column(labels);
  return batch;
}

std::vector<std::vector<Item>> cut_shards(const EncodedSet& set, std::vector<Item> items,
                                          size_t count) {
  // Longest first, each to the shard with the fewest tokens.
  std::stable_sort(items.begin(), items.end(), [&](const Item& a, const Item& b) {
    return set.length(a.index) > set.length(b.index);
  });
  std::vector<std::vector<Item>> shards(count);
  std::vector<int64_t> tokens(count, 0);
  for (const Item& item : items) {
    const auto least =
        static_cast<size_t>(std::min_element(tokens.begin(), tokens.end()) - tokens.begin());
    shards[least].push_back(item);
    tokens[least] += set.length(item.index);
  }
  return shards;
}

}  // namespace mtlora
