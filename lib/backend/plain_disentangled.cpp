// Disentangled attention as ordinary ATen operations (disentangled_ops.h): content scores, and two
// products with all position rows of which each pair of places takes one entry.
#include "lib/backend/plain.h"

namespace mtlora::backend::plain {
namespace {

/// [queries, keys] int64: the row that query i and key j read.
Tensor rows_of_pairs(const RelativePositions& positions, int64_t queries, int64_t keys) {
  const std::vector<int32_t>& row_of = *positions.row_of;
  const auto reach = static_cast<int64_t>(row_of.size() + 1) / 2;
  TORCH_INTERNAL_ASSERT(queries <= reach && keys <= reach, "places beyond the reach of row_of");
  const Tensor rows = at::empty({queries, keys}, at::kLong);
  int64_t* out = rows.data_ptr<int64_t>();
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j) *out++ = row_of[static_cast<size_t>(i - j + reach - 1)];
  return rows.to((positions.key.defined() ? positions.key : positions.query).device());
}

/// One sequence: q [queries, width] from its first place on, k and v [keys, width].
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const RelativePositions& positions,
              const AttentionShape& shape, const Dropout& dropout) {
  const auto split = [&](const Tensor& x) { return by_head(x, shape.heads); };
  Tensor scores = at::matmul(split(q), split(k).transpose(1, 2));  // [heads, queries, keys]
  if (positions.key.defined()) {
    const Tensor rows = rows_of_pairs(positions, q.size(0), k.size(0));
    const Tensor all = at::matmul(split(q), split(positions.key).transpose(1, 2));
    scores = scores + all.gather(2, rows.expand_as(scores));
  }
  if (positions.query.defined()) {
    const Tensor rows = rows_of_pairs(positions, q.size(0), k.size(0)).t();
    const Tensor all = at::matmul(split(k), split(positions.query).transpose(1, 2));
    scores =
        scores + all.gather(2, rows.expand({shape.heads, k.size(0), q.size(0)})).transpose(1, 2);
  }
  return weighted_values(scores * shape.scale, v, dropout);
}

}  // namespace

Tensor disentangled_attention(const Tensor& qkv, const RelativePositions& positions,
                              const Packing& packing, const AttentionShape& shape,
                              const Dropout& dropout) {
  const std::vector<int32_t>& offsets = host_offsets(packing);
  std::vector<Tensor> outputs;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t begin = offsets[i], count = offsets[i + 1] - begin;
    const auto parts = qkv.narrow(0, begin, count).chunk(3, 1);
    outputs.push_back(
        attend(parts[0], parts[1], parts[2], positions, shape, narrowed(dropout, begin, count)));
  }
  const int64_t filler = qkv.size(0) - offsets.back();
  outputs.push_back(at::zeros({filler, qkv.size(1) / 3}, qkv.options()));
  return at::cat(outputs);
}

Tensor disentangled_pooled_attention(const Tensor& q, const Tensor& kv,
                                     const RelativePositions& positions, const Packing& packing,
                                     const AttentionShape& shape, const Dropout& dropout) {
  const std::vector<int32_t>& offsets = host_offsets(packing);
  std::vector<Tensor> outputs;
  for (int64_t i = 0; i < q.size(0); ++i) {
    const int64_t begin = offsets[static_cast<size_t>(i)];
    const int64_t count = offsets[static_cast<size_t>(i) + 1] - begin;
    const auto parts = kv.narrow(0, begin, count).chunk(2, 1);
    outputs.push_back(
        attend(q.narrow(0, i, 1), parts[0], parts[1], positions, shape, narrowed(dropout, i, 1)));
  }
  return at::cat(outputs);
}

}  // namespace mtlora::backend::plain
