// The factors of a layer come into the products' type by one kernel.
#include "lib/backend/cuda_factors.h"

#include <algorithm>

#include "lib/backend/cuda_call.h"

namespace mtlora::backend::device {
namespace {

/// Up to so many ranks the zeros of one matrix of all b's cost less than a product for each.
constexpr int64_t kMostRanksOfOne = 64;

cuda::Blocks::Block block_of(const Tensor& x, int64_t row, int64_t column) {
  TORCH_INTERNAL_ASSERT(is_reached(x) && x.scalar_type() == at::kFloat);
  return {x.data_ptr<float>(), x.stride(0), x.stride(1), row, column, x.size(0), x.size(1)};
}

void add(cuda::Blocks& blocks, const cuda::Blocks::Block& block) {
  TORCH_INTERNAL_ASSERT(blocks.count < cuda::Blocks::kMost, "a layer of too many parts");
  blocks.block[blocks.count++] = block;
}

cuda::Blocks blocks_of(const Tensor& whole) {
  TORCH_INTERNAL_ASSERT(whole.numel() < int64_t{1} << 32, "factors of too many numbers");
  return {matrix(whole), whole.size(0), whole.size(1), 0, {}};
}

/// How large b is, and where a part's b begins in it.
struct Layout {
  int64_t rows = 0, columns = 0, first_out = 0;
  struct Corner {
    int64_t row, column;
  };
  std::vector<Corner> corners;

  static Layout of(const std::vector<LowRank::Part>& parts, int64_t ranks, bool as_one) {
    Layout layout;
    if (!as_one) {
      for (const LowRank::Part& part : parts) {
        layout.corners.push_back({layout.rows, 0});
        layout.rows += part.out_end - part.out_begin;
        layout.columns = std::max(layout.columns, part.r_end - part.r_begin);
      }
      return layout;
    }
    const auto begins = [](const auto& x, const auto& y) { return x.out_begin < y.out_begin; };
    layout.first_out = std::min_element(parts.begin(), parts.end(), begins)->out_begin;
    for (const LowRank::Part& part : parts) {
      layout.corners.push_back({part.out_begin - layout.first_out, part.r_begin});
      layout.rows = std::max(layout.rows, part.out_end - layout.first_out);
    }
    layout.columns = ranks;
    return layout;
  }
};

}  // namespace

Factors factors_of(const LowRank& change, at::ScalarType type) {
  const at::NoGradGuard no_graph;
  int64_t ranks = 0;
  for (const Tensor& a : change.a) ranks += a.size(0);
  const bool as_one = change.parts.size() == 1 || ranks <= kMostRanksOfOne;
  const Layout layout = Layout::of(change.parts, ranks, as_one);
  const auto options = change.a[0].options().dtype(type);
  Factors f{at::empty({ranks, change.a[0].size(1)}, options), as_one,
            at::empty({layout.rows, layout.columns}, options), layout.first_out, change.parts};
  cuda::Blocks of_a = blocks_of(f.a), of_b = blocks_of(f.b);
  int64_t row = 0;
  for (const Tensor& a : change.a) {
    add(of_a, block_of(a, row, 0));
    row += a.size(0);
  }
  for (size_t i = 0; i < f.parts.size(); ++i) {
    const auto& [first_row, first_column] = layout.corners[i];
    Tensor& b = f.parts[i].b;
    add(of_b, block_of(b, first_row, first_column));
    b = f.b.narrow(0, first_row, b.size(0)).narrow(1, first_column, b.size(1));
  }
  cuda::place_blocks(element_of(f.a), of_a, of_b, cuda::current_stream());
  return f;
}

}  // namespace mtlora::backend::device
