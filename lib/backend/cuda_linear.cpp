// Linear layers with and without a low-rank change on a CUDA device. The products are cuBLAS's; the
// equations those of linear.cpp. Each kernel takes a time of its own there, however little it does:
// s is a factor of products, of x̃ aᵀ and of dl, and the b's of several parts are one matrix, whose
// blocks they are.
#include <algorithm>
#include <optional>

#include "lib/backend/cuda_call.h"
#include "lib/backend/cuda_factors.h"
#include "lib/backend/low_rank_parts.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"

namespace mtlora::backend::device {
namespace {

/// aᵀ b in fp32: a gradient of a trained tensor is not rounded to the activations' type.
Tensor product_of_rows(const Tensor& a, const Tensor& b) {
  return wide_product(a.t(), b);
}

/// s a b, rounded to their type.
Tensor scaled_product(double s, const Tensor& a, const Tensor& b) {
  return at::empty({a.size(0), b.size(1)}, a.options()).addmm_(a, b, /*beta=*/0, /*alpha=*/s);
}

/// How far apart parts of one size are: in y, and in the ranks.
struct Spacing {
  int64_t outs, ranks;
};

/// Of several parts that are of one size and equally far apart.
std::optional<Spacing> spacing_of(const std::vector<LowRank::Part>& parts) {
  if (parts.size() < 2) return {};
  const auto between = [](const LowRank::Part& a, const LowRank::Part& b) {
    return Spacing{b.out_begin - a.out_begin, b.r_begin - a.r_begin};
  };
  const Spacing spacing = between(parts[0], parts[1]);
  if (spacing.outs <= 0 || spacing.ranks <= 0) return {};
  for (size_t i = 1; i < parts.size(); ++i) {
    const Spacing here = between(parts[i - 1], parts[i]);
    if (here.outs != spacing.outs || here.ranks != spacing.ranks ||
        !parts[i].b.sizes().equals(parts[0].b.sizes()))
      return {};
  }
  return spacing;
}

/// [count, tokens, columns]: x [tokens, columns], and what lies `step` columns further each time.
Tensor matrices_of(const Tensor& x, size_t count, int64_t step) {
  return x.as_strided({static_cast<int64_t>(count), x.size(0), x.size(1)},
                      {step, x.stride(0), x.stride(1)});
}

/// Saved: x̃, s x̃ aᵀ, and where the weights are trained x.
struct LowRankBackward {
  Weight weight;
  Factors factors;
  Dropout dropout;
  double scale;
  LowRankInputs inputs;

  std::vector<Tensor> operator()(const Tensor& dy, const std::vector<Tensor>& saved,
                                 const Needs& needs) const {
    const at::NoGradGuard no_graph;
    const Tensor &dropped = saved[0], &low = saved[1];
    std::vector<Tensor> result(inputs.count());
    const bool wants_a = inputs.wants_a(needs);
    const Tensor dlow = needs[0] || wants_a ? low_gradient(dy) : Tensor();
    if (needs[0]) result[0] = input_gradient(dy, dlow);
    if (needs[1]) result[1] = product_of_rows(dy, saved[2]).to(weight.tensor().scalar_type());
    if (needs[2]) result[2] = dy.sum(0, false, at::kFloat);
    if (wants_a) inputs.set_a(result, product_of_rows(dlow, dropped));
    set_b(dy, low, needs, result);
    return result;
  }

 private:
  /// The gradient of every b, each in one piece: of alike parts by one product.
  void set_b(const Tensor& dy, const Tensor& low, const Needs& needs,
             std::vector<Tensor>& result) const {
    const std::vector<LowRank::Part>& parts = factors.parts;
    const auto wants = [&](size_t i) { return needs[inputs.b(i)]; };
    const std::optional<Spacing> spacing = spacing_of(parts);
    if (spacing && wants(0) && wants(parts.size() - 1)) {
      const Tensor each = wide_product(
          matrices_of(of_out(dy, parts[0]), parts.size(), spacing->outs).transpose(1, 2),
          matrices_of(of_rank(low, parts[0]), parts.size(), spacing->ranks));
      for (size_t i = 0; i < parts.size(); ++i)
        if (wants(i)) result[inputs.b(i)] = each[static_cast<int64_t>(i)];
      return;
    }
    for (size_t i = 0; i < parts.size(); ++i)
      if (wants(i))
        result[inputs.b(i)] = product_of_rows(of_out(dy, parts[i]), of_rank(low, parts[i]));
  }

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
  Tensor y, dropped, low;
  {
    const at::NoGradGuard no_graph;
    y = plain::linear(in, weight.tensor(), bias);
    dropped = active(dropout) ? device::dropout(in, dropout) : in;  // x̃
    low = scaled_product(low_rank.scale, dropped, factors.a.t());   // [tokens, R]
    add_change(y, low, factors);
  }
  const std::vector<Tensor> inputs = LowRankInputs::of(x, weight.tensor(), bias, low_rank);
  if (!wants_gradient(inputs)) return y;
  std::vector<Tensor> saved{dropped, low};
  if (weight.tensor().requires_grad()) saved.push_back(in);
  return differentiable(inputs, Computed{y, saved,
                                         LowRankBackward{weight, factors, dropout, low_rank.scale,
                                                         LowRankInputs(low_rank)}});
}

}  // namespace mtlora::backend::device
