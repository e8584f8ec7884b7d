// Linear layers with and without a low-rank change on a CUDA device. The products are cuBLAS's; the
// equations those of linear.cpp. Each kernel takes a time of its own there, however little it does,
// so that s is a factor of products: of x̃ aᵀ, and of dl.
#include <algorithm>

#include "lib/backend/cuda_call.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"

namespace mtlora::backend::device {
namespace {

Tensor of_out(const Tensor& y, const LowRank::Part& part) {
  return y.narrow(1, part.out_begin, part.out_end - part.out_begin);
}

Tensor of_rank(const Tensor& low, const LowRank::Part& part) {
  return low.narrow(1, part.r_begin, part.r_end - part.r_begin);
}

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

/// Inputs: x, weight, bias, a, b of every part. Saved: x, s x̃ aᵀ.
struct LowRankBackward {
  Weight weight;
  LowRank low_rank;  // detached, a and b in the activations' type

  std::vector<Tensor> operator()(const Tensor& dy, const std::vector<Tensor>& saved,
                                 const Needs& needs) const {
    const at::NoGradGuard no_graph;
    const Tensor &x = saved[0], &low = saved[1];
    std::vector<Tensor> result(4 + low_rank.parts.size());
    const Tensor dlow = needs[0] || needs[3] ? low_gradient(dy) : Tensor();
    if (needs[0]) result[0] = input_gradient(dy, dlow);
    if (needs[1]) result[1] = product_of_rows(dy, x).to(weight.tensor().scalar_type());
    if (needs[2]) result[2] = dy.sum(0, false, at::kFloat);
    if (needs[3]) result[3] = product_of_rows(dlow, input_of(x, low_rank.dropout));
    for (size_t i = 0; i < low_rank.parts.size(); ++i)
      if (needs[4 + i])
        result[4 + i] =
            product_of_rows(of_out(dy, low_rank.parts[i]), of_rank(low, low_rank.parts[i]));
    return result;
  }

 private:
  // Parts may share ranks: the first writes what later ones add to.
  Tensor low_gradient(const Tensor& dy) const {
    const Tensor dlow = at::empty({dy.size(0), low_rank.a.size(0)}, dy.options());
    int64_t written = 0;
    for (const LowRank::Part& part : low_rank.parts) {
      const bool is_first = part.r_begin >= written;
      TORCH_INTERNAL_ASSERT(part.r_begin == written || part.r_end <= written,
                            "the ranks of parts come in order");
      of_rank(dlow, part)
          .addmm_(of_out(dy, part), part.b, is_first ? 0 : 1, /*alpha=*/low_rank.scale);
      written = std::max(written, part.r_end);
    }
    TORCH_INTERNAL_ASSERT(written == dlow.size(1), "every rank is a part's");
    return dlow;
  }

  Tensor input_gradient(const Tensor& dy, const Tensor& dlow) const {
    Tensor dx = at::mm(dy, weight.tensor().detach().to(dy.scalar_type()));
    if (!active(low_rank.dropout)) return dx.addmm_(dlow, low_rank.a);
    const Tensor change = at::mm(dlow, low_rank.a);
    cuda::dropout({element_of(dx), matrix(change), matrix(dx), dx.size(0), dx.size(1),
                   device_mask(low_rank.dropout, dx.size(0)), true},
                  cuda::current_stream());
    return dx;
  }
};

LowRank detached(LowRank low_rank, at::ScalarType type) {
  low_rank.a = low_rank.a.detach().to(type);
  for (LowRank::Part& part : low_rank.parts) part.b = part.b.detach().to(type);
  return low_rank;
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias) {
  return plain::linear(x, weight.tensor(), bias);
}

Tensor linear_low_rank(const Tensor& x, const Weight& weight, const Tensor& bias,
                       const LowRank& low_rank) {
  const auto type = x.scalar_type();
  const Tensor in = row_major(x.detach());
  LowRank change = detached(low_rank, type);
  change.dropout = beside(low_rank.dropout, x);
  Tensor y, low;
  {
    const at::NoGradGuard no_graph;
    y = plain::linear(in, weight.tensor(), bias);
    low = scaled_product(change.scale, input_of(in, change.dropout), change.a.t());  // [tokens, R]
    for (const LowRank::Part& part : change.parts)
      of_out(y, part).addmm_(of_rank(low, part), part.b.t());
  }
  std::vector<Tensor> inputs{x, weight.tensor(), bias, low_rank.a};
  for (const LowRank::Part& part : low_rank.parts) inputs.push_back(part.b);
  if (!wants_gradient(inputs)) return y;
  return differentiable(inputs, Computed{y, {in, low}, LowRankBackward{weight, change}});
}

}  // namespace mtlora::backend::device
