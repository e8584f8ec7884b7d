// Dropout, norms, SwiGLU and rotary positions on a CUDA device; the arithmetic is in cuda/*.cu.
#include <utility>

#include "lib/backend/cuda_call.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend::device {
namespace {

Tensor dropped(const Tensor& x, const Dropout& dropout) {
  const Tensor y = at::empty({x.size(0), x.size(1)}, x.options());
  cuda::dropout({element_of(x), matrix(x), matrix(y), x.size(0), x.size(1),
                 device_mask(dropout, x.size(0)), false},
                cuda::current_stream());
  return y;
}

/// What comes out beside the norm.
enum class Beside { nothing, itself, sum };

/// The gradients of what a norm gives; any may be undefined, not all.
struct NormSlopes {
  NormSlopes(Beside beside, const std::vector<Tensor>& gradients)
      : y(gradients[0]),
        more(beside == Beside::itself ? gradients[1] : Tensor()),
        sum(beside == Beside::sum ? gradients[1] : Tensor()) {
    if (!y.defined()) std::swap(y, more);
  }
  Tensor y, more, sum;
};

/// The gradients of x, residual, gamma and beta.
std::vector<Tensor> norm_gradients(const NormSlopes& slopes, const std::vector<Tensor>& saved,
                                   bool centred, const Dropout& dropout, const Needs& needs) {
  const Tensor &normalized = saved[0], &rstd = saved[1], &gamma = saved[2];
  const int64_t count = normalized.size(0), width = normalized.size(1);
  Tensor dy = slopes.y.defined() ? slopes.y : at::zeros_like(normalized), more = slopes.more;
  if ((needs[2] || needs[3]) && more.defined()) dy = dy + std::exchange(more, Tensor());
  const bool separate = needs[0] && active(dropout);  // else x and residual have one gradient
  const Tensor dresidual = at::empty_like(normalized);
  const Tensor dx = separate ? at::empty_like(normalized) : Tensor();
  cuda::norm_backward({element_of(dy), matrix(dy), matrix(more), matrix(slopes.sum),
                       matrix(normalized), rstd.data_ptr<float>(), gamma.data_ptr<float>(), centred,
                       matrix(dresidual), matrix(dx), count, width, device_mask(dropout, count)},
                      cuda::current_stream());
  Tensor dgamma, dbeta;
  if (needs[2]) dgamma = (dy.to(at::kFloat) * normalized.to(at::kFloat)).sum(0);
  if (needs[3]) dbeta = dy.sum(0, false, at::kFloat);
  return {separate ? dx : dresidual, dresidual, dgamma, dbeta};
}

/// {normed}, and what is beside it.
std::vector<Tensor> norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                         const Dropout& given, Beside beside_it) {
  const Dropout dropout = beside(given, x);
  const std::vector<Tensor> inputs{x, residual, affine.gamma, affine.beta};
  const bool graph = wants_gradient(inputs), centred = affine.beta.defined();
  const Tensor in = row_major(x.detach());
  const Tensor other = residual.defined() ? row_major(residual.detach()) : Tensor();
  const Tensor gamma = vector_of_floats(affine.gamma), beta = vector_of_floats(affine.beta);
  const int64_t count = x.size(0), width = x.size(1);
  const Tensor y = at::empty({count, width}, x.options());
  const Tensor sum = beside_it == Beside::sum ? at::empty_like(y) : Tensor();
  const Tensor normalized = graph ? at::empty_like(y) : Tensor();
  const Tensor rstd = graph ? at::empty({count}, gamma.options()) : Tensor();
  cuda::norm_forward({element_of(x), matrix(in), matrix(other), gamma.data_ptr<float>(),
                      floats(beta), matrix(y), matrix(sum), matrix(normalized), floats(rstd), count,
                      width, static_cast<float>(affine.eps), device_mask(dropout, count)},
                     cuda::current_stream());
  std::vector<Tensor> outputs{y};
  if (beside_it == Beside::sum) outputs.push_back(sum);
  if (beside_it == Beside::itself) outputs.push_back(y.variable_data());
  if (!graph) return outputs;
  const auto backward = [beside_it, centred, dropout](const std::vector<Tensor>& gradients,
                                                      const std::vector<Tensor>& saved,
                                                      const Needs& needs) {
    return norm_gradients({beside_it, gradients}, saved, centred, dropout, needs);
  };
  return differentiable(inputs, ComputedTogether{outputs, {normalized, rstd, gamma}, backward});
}

}  // namespace

Tensor dropout(const Tensor& x, const Dropout& given) {
  const Dropout dropout = beside(given, x);
  const Tensor y = dropped(row_major(x.detach()), dropout);
  if (!wants_gradient({x})) return y;
  return differentiable({x}, Computed{y,
                                      {},
                                      [dropout](const Tensor& dy, const std::vector<Tensor>&,
                                                const Needs&) -> std::vector<Tensor> {
                                        return {dropped(dy, dropout)};
                                      }});
}

Tensor mask_factors(const Dropout& dropout, int64_t channels, int64_t heads) {
  const int64_t rows = dropout.rows.numel(), count = std::max<int64_t>(1, heads);
  const Tensor factors =
      at::empty({count, rows, channels}, dropout.rows.options().dtype(at::kFloat));
  cuda::mask_factors(device_mask(dropout, rows), count, rows, channels, heads > 0,
                     factors.data_ptr<float>(), cuda::current_stream());
  return heads > 0 ? factors : factors[0];
}

bool takes_norm(const Tensor& x) {
  return on_cuda(x) && x.size(1) <= cuda::kWidestNorm;
}

Tensor layer_norm(const Tensor& x, const Affine& affine) {
  return norm(x, {}, affine, {}, Beside::nothing)[0];
}

Branches dropout_add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                          const Dropout& dropout) {
  const auto both = norm(x, residual, affine, dropout, Beside::itself);
  return {both[0], both[1]};
}

Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps) {
  return norm(x, {}, {gamma, {}, eps}, {}, Beside::nothing)[0];
}

Normed add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                const Dropout& dropout) {
  const auto both = norm(x, residual, affine, dropout, Beside::sum);
  return {both[1], both[0]};
}

Tensor swiglu(const Tensor& gate_up) {
  const Tensor x = row_major(gate_up.detach());
  const int64_t rows = x.size(0), inner = x.size(1) / 2;
  const Tensor y = at::empty({rows, inner}, x.options());
  cuda::swiglu_forward(element_of(x), matrix(x), matrix(y), rows, inner, cuda::current_stream());
  if (!wants_gradient({gate_up})) return y;
  const auto backward = [](const Tensor& dy, const std::vector<Tensor>& saved,
                           const Needs&) -> std::vector<Tensor> {
    const Tensor dx = at::empty({saved[0].size(0), saved[0].size(1)}, saved[0].options());
    cuda::swiglu_backward(element_of(dx), matrix(saved[0]), matrix(dy), matrix(dx), dx.size(0),
                          dy.size(1), cuda::current_stream());
    return {dx};
  };
  return differentiable({gate_up}, Computed{y, {x}, backward});
}

namespace {

Tensor turned(const Tensor& x, const Tensor& positions, const Rotary& rotary, int64_t rotated_heads,
              bool backwards) {
  const Tensor y = at::empty({x.size(0), x.size(1)}, x.options());
  cuda::rotate({element_of(x), matrix(x), matrix(y), positions.data_ptr<int64_t>(),
                rotary.cos.data_ptr<float>(), rotary.sin.data_ptr<float>(), x.size(0), x.size(1),
                rotated_heads, rotary.cos.size(1), backwards},
               cuda::current_stream());
  return y;
}

}  // namespace

Tensor rotate(const Tensor& qkv, const Tensor& positions, const Rotary& rotary,
              const CausalShape& shape) {
  const Tensor at = positions.to(qkv.device()).contiguous();
  const Rotary table{rotary.cos.to(qkv.device()), rotary.sin.to(qkv.device())};
  const int64_t heads = shape.heads + shape.kv_heads;
  const Tensor y = turned(row_major(qkv.detach()), at, table, heads, false);
  if (!wants_gradient({qkv})) return y;
  const auto backward = [at, table, heads](const Tensor& dy, const std::vector<Tensor>&,
                                           const Needs&) -> std::vector<Tensor> {
    return {turned(dy, at, table, heads, true)};
  };
  return differentiable({qkv}, Computed{y, {}, backward});
}

}  // namespace mtlora::backend::device
