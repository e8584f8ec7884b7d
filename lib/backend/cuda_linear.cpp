// Linear layers with and without a low-rank change on a CUDA device. The products are cuBLAS's; the
// equations those of linear.cpp. Each kernel takes a time of its own there, however little it does:
// s is a factor of products, of x̃ aᵀ and of dl, and the b's of several parts are one matrix, whose
// blocks they are.
#include <algorithm>

#include "lib/backend/cuda_call.h"
#include "lib/backend/low_rank_parts.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"

namespace mtlora::backend::device {
namespace {

/// x̃, without a graph.
Tensor input_of(const Tensor& x, const Dropout& dropout) {
  return active(dropout) ? device::dropout(x, dropout) : x;
}

/// aᵀ b in fp32: a gradient of a trained tensor is not rounded to the activations' type.
Tensor product_of_rows(const Tensor& a, const Tensor& b) {
  return wide_product(a.t(), b);
}

/// s a b, rounded to their type.
Tensor scaled_product(double s, const Tensor& a, const Tensor& b) {
  return at::empty({a.size(0), b.size(1)}, a.options()).addmm_(a, b, /*beta=*/0, /*alpha=*/s);
}

/// Up to so many ranks the zeros of one matrix of all b's cost less than a product for each.
constexpr int64_t kMostRanksOfOne = 64;

/// The factors in the activations' type.
struct Factors {
  Tensor a;                          ///< [R, in]
  bool as_one = false;               ///< the parts' products are one
  Tensor b;                          ///< as_one: [outs, R], every part's b where its outputs and
                                     ///< ranks meet, zeros elsewhere; else one below the other
  int64_t first_out = 0;             ///< of b, as_one
  std::vector<LowRank::Part> parts;  ///< their b's are those of b

  /// y[:, the outputs of b], as_one
  Tensor outs(const Tensor& y) const { return y.narrow(1, first_out, b.size(0)); }
};

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

/// Saved: x, s x̃ aᵀ.
struct LowRankBackward {
  Weight weight;
  Factors factors;
  Dropout dropout;
  double scale;
  LowRankInputs inputs;

  std::vector<Tensor> operator()(const Tensor& dy, const std::vector<Tensor>& saved,
                                 const Needs& needs) const {
    const at::NoGradGuard no_graph;
    const Tensor &x = saved[0], &low = saved[1];
    std::vector<Tensor> result(inputs.count());
    const bool wants_a = inputs.wants_a(needs);
    const Tensor dlow = needs[0] || wants_a ? low_gradient(dy) : Tensor();
    if (needs[0]) result[0] = input_gradient(dy, dlow);
    if (needs[1]) result[1] = product_of_rows(dy, x).to(weight.tensor().scalar_type());
    if (needs[2]) result[2] = dy.sum(0, false, at::kFloat);
    if (wants_a) inputs.set_a(result, product_of_rows(dlow, input_of(x, dropout)));
    for (size_t i = 0; i < factors.parts.size(); ++i)  // each alone: its gradient lies in one piece
      if (needs[inputs.b(i)])
        result[inputs.b(i)] =
            product_of_rows(of_out(dy, factors.parts[i]), of_rank(low, factors.parts[i]));
    return result;
  }

 private:
  Tensor low_gradient(const Tensor& dy) const {
    if (factors.as_one) return scaled_product(scale, factors.outs(dy), factors.b);
    // Parts may share ranks: the first writes what later ones add to.
    const Tensor dlow = at::empty({dy.size(0), factors.a.size(0)}, dy.options());
    int64_t written = 0;
    for (const LowRank::Part& part : factors.parts) {
      const bool is_first = part.r_begin >= written;
      TORCH_INTERNAL_ASSERT(part.r_begin == written || part.r_end <= written,
                            "the ranks of parts come in order");
      of_rank(dlow, part).addmm_(of_out(dy, part), part.b, is_first ? 0 : 1, /*alpha=*/scale);
      written = std::max(written, part.r_end);
    }
    TORCH_INTERNAL_ASSERT(written == dlow.size(1), "every rank is a part's");
    return dlow;
  }

  Tensor input_gradient(const Tensor& dy, const Tensor& dlow) const {
    Tensor dx = at::mm(dy, weight.tensor().detach().to(dy.scalar_type()));
    if (!active(dropout)) return dx.addmm_(dlow, factors.a);
    const Tensor change = at::mm(dlow, factors.a);
    cuda::dropout({element_of(dx), matrix(change), matrix(dx), dx.size(0), dx.size(1),
                   device_mask(dropout, dx.size(0)), true},
                  cuda::current_stream());
    return dx;
  }
};

void add_change(const Tensor& y, const Tensor& low, const Factors& factors) {
  if (factors.as_one) {
    factors.outs(y).addmm_(low, factors.b.t());
    return;
  }
  for (const LowRank::Part& part : factors.parts)
    of_out(y, part).addmm_(of_rank(low, part), part.b.t());
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias) {
  return plain::linear(x, weight.tensor(), bias);
}

Tensor linear_low_rank(const Tensor& x, const Weight& weight, const Tensor& bias,
                       const LowRank& low_rank) {
  const Tensor in = row_major(x.detach());
  const Dropout dropout = beside(low_rank.dropout, x);
  const Factors factors = factors_of(low_rank, x.scalar_type());
  Tensor y, low;
  {
    const at::NoGradGuard no_graph;
    y = plain::linear(in, weight.tensor(), bias);
    low = scaled_product(low_rank.scale, input_of(in, dropout), factors.a.t());  // [tokens, R]
    add_change(y, low, factors);
  }
  const std::vector<Tensor> inputs = LowRankInputs::of(x, weight.tensor(), bias, low_rank);
  if (!wants_gradient(inputs)) return y;
  return differentiable(inputs, Computed{y,
                                         {in, low},
                                         LowRankBackward{weight, factors, dropout, low_rank.scale,
                                                         LowRankInputs(low_rank)}});
}

}  // namespace mtlora::backend::device
