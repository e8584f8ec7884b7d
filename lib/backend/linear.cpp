// y = x Wᵀ + bias, with or without a low-rank change (Hu et al. 2021, arXiv 2106.09685):
//   y[:, out] += s (x̃ aᵀ)[:, r] bᵀ for every part, x̃ = dropout(x)
// Backward, with g = dy and l = x̃ aᵀ:
//   dl[:, r] = s Σ g[:, out] b,  dx = g W + dropout(dl a),  da = dlᵀ x̃,  db = s g[:, out]ᵀ l[:, r]
#include <ATen/ATen.h>

#include "lib/backend/gemm.h"
#include "lib/backend/low_rank_parts.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"

namespace mtlora::backend {
namespace {

/// x Wᵀ + bias
Tensor product(const Tensor& x, const Weight& weight, const Tensor& bias) {
  return gemm(x, weight.forward(x.scalar_type()), bias);
}

/// dy W
Tensor product_back(const Tensor& dy, const Weight& weight) {
  return gemm(dy, weight.backward(dy.scalar_type()));
}

Tensor weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& weight) {
  return gemm_float(dy.t(), pack(x, x.scalar_type())).to(weight.scalar_type());
}

Tensor bias_gradient(const Tensor& dy) {
  return dy.sum(0, false, at::kFloat);
}

struct LinearBackward {
  Weight weight;
  std::vector<Tensor> operator()(const Tensor& dy, const std::vector<Tensor>& saved,
                                 const Needs& needs) const {
    Tensor dx, dweight, dbias;
    if (needs[0]) dx = product_back(dy, weight);
    if (needs[1]) dweight = weight_gradient(dy, saved[0], weight.tensor());
    if (needs[2]) dbias = bias_gradient(dy);
    return {dx, dweight, dbias};
  }
};

Tensor dropped(const Tensor& x, const Dropout& dropout) {
  at::NoGradGuard no_graph;
  return backend::dropout(x, dropout);
}

/// y += dropout(change), in place.
void add_dropped(const Tensor& y, const Tensor& change, const Dropout& dropout) {
  with_element(y, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().dropout({rows<const T>(change), rows<T>(y), y.size(0), y.size(1),
                               mask_of(dropout, y.size(0)), true});
  });
}

/// Saved: x, x̃ aᵀ.
struct LowRankBackward {
  Weight weight;
  LowRank low_rank;  // detached(); its one a holds all rows
  LowRankInputs inputs;

  Tensor low_gradient(const Tensor& dy, const Tensor& low) const {
    const Tensor dlow = at::zeros_like(low);
    for (const LowRank::Part& part : low_rank.parts)
      gemm_add(of_out(dy, part), pack(part.b, dy.scalar_type()), of_rank(dlow, part));
    return dlow;
  }

  Tensor input_gradient(const Tensor& dy, const Tensor& dlow) const {
    const Tensor dx = product_back(dy, weight);
    const PackedMatrix a = pack(low_rank.a[0], dy.scalar_type());
    if (active(low_rank.dropout))
      add_dropped(dx, gemm(dlow, a), low_rank.dropout);
    else
      gemm_add(dlow, a, dx);
    return dx;
  }

  std::vector<Tensor> operator()(const Tensor& dy, const std::vector<Tensor>& saved,
                                 const Needs& needs) const {
    const Tensor &x = saved[0], &low = saved[1];
    std::vector<Tensor> result(inputs.count());
    const bool wants_a = inputs.wants_a(needs);
    const Tensor dlow = needs[0] || wants_a ? low_gradient(dy, low) : Tensor();
    if (needs[0]) result[0] = input_gradient(dy, dlow);
    if (needs[1]) result[1] = weight_gradient(dy, x, weight.tensor());
    if (needs[2]) result[2] = bias_gradient(dy);
    if (wants_a)
      inputs.set_a(result,
                   gemm_float(dlow.t(), pack(dropped(x, low_rank.dropout), x.scalar_type())));
    for (size_t i = 0; i < low_rank.parts.size(); ++i) {
      const LowRank::Part& part = low_rank.parts[i];
      if (needs[inputs.b(i)])  // dbᵀ, because its few rows are the cheaper left side
        result[inputs.b(i)] =
            gemm_float(of_rank(low, part).t(), pack(of_out(dy, part), dy.scalar_type()))
                .mul_(low_rank.scale)
                .t();
    }
    return result;
  }
};

/// Without a graph, the a's joined, b times s.
LowRank detached(LowRank low_rank) {
  const at::NoGradGuard no_graph;
  low_rank.a = {joined(low_rank.a).detach().to(at::kFloat)};
  for (LowRank::Part& part : low_rank.parts)
    part.b = part.b.detach().to(at::kFloat) * low_rank.scale;
  return low_rank;
}

Tensor detached(const Tensor& x) {
  return x.defined() ? x.detach() : x;
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias) {
  if (on_cuda(x)) return device::linear(x, weight, bias);
  if (!fast(x)) return plain::linear(x, weight.tensor(), bias);
  const Tensor in = row_major(x.detach());
  const Tensor y = product(in, weight, detached(bias));
  const std::vector<Tensor> inputs{x, weight.tensor(), bias};
  if (!wants_gradient(inputs)) return y;
  std::vector<Tensor> saved;
  if (weight.tensor().requires_grad()) saved.push_back(in);
  return differentiable(inputs, {y, saved, LinearBackward{weight}});
}

Tensor linear_low_rank(const Tensor& x, const Weight& weight, const Tensor& bias,
                       const LowRank& low_rank) {
  if (on_cuda(x)) return device::linear_low_rank(x, weight, bias, low_rank);
  if (!fast(x)) return plain::linear_low_rank(x, weight.tensor(), bias, low_rank);
  const auto type = x.scalar_type();
  const Tensor in = row_major(x.detach());
  const LowRank change = detached(low_rank);
  const Tensor y = product(in, weight, detached(bias));
  const Tensor low = gemm(dropped(in, change.dropout), pack(change.a[0].t(), type));  // [tokens, R]
  for (const LowRank::Part& part : change.parts)
    gemm_add(of_rank(low, part), pack(part.b.t(), type), of_out(y, part));
  const std::vector<Tensor> inputs = LowRankInputs::of(x, weight.tensor(), bias, low_rank);
  if (!wants_gradient(inputs)) return y;
  return differentiable(inputs,
                        {y, {in, low}, LowRankBackward{weight, change, LowRankInputs(low_rank)}});
}

}  // namespace mtlora::backend
