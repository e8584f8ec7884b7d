// Dropout, LayerNorm and GELU on rows of tokens; the arithmetic is in cpu/elementwise.h.
#include <ATen/ATen.h>

#include "lib/backend/kernel_call.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"

namespace mtlora::backend {
namespace {

Tensor dropped(const Tensor& x, const Dropout& dropout) {
  const Tensor y = at::empty({x.size(0), x.size(1)}, x.options());
  with_element(x, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().dropout(
        {rows<const T>(x), rows<T>(y), x.size(0), x.size(1), mask_of(dropout, x.size(0)), false});
  });
  return y;
}

/// The gradients of x, residual, gamma and beta.
std::vector<Tensor> norm_gradients(const Tensor& dy, const std::vector<Tensor>& saved,
                                   const Dropout& dropout, const Needs& needs) {
  const Tensor &normalized = saved[0], &rstd = saved[1], &gamma = saved[2];
  const int64_t count = dy.size(0), width = dy.size(1);
  const bool separate = needs[0] && active(dropout);  // else x and residual have one gradient
  const Tensor dresidual = at::empty_like(normalized);
  const Tensor dx = separate ? at::empty_like(normalized) : Tensor();
  const Tensor dgamma = needs[2] ? at::zeros_like(gamma) : Tensor();
  const Tensor dbeta = needs[3] ? at::zeros_like(gamma) : Tensor();
  with_element(dy, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().norm_backward({rows<const T>(dy), rows<const T>(normalized), floats(rstd),
                                     floats(gamma), rows<T>(dresidual), rows<T>(dx), floats(dgamma),
                                     floats(dbeta), count, width, mask_of(dropout, count),
                                     scratch(width)});
  });
  return {separate ? dx : dresidual, dresidual, dgamma, dbeta};
}

Tensor norm(const Tensor& x, const Tensor& residual, const Affine& affine, const Dropout& dropout) {
  const std::vector<Tensor> inputs{x, residual, affine.gamma, affine.beta};
  const bool graph = wants_gradient(inputs);
  const Tensor in = row_major(x.detach());
  const Tensor other = residual.defined() ? row_major(residual.detach()) : Tensor();
  const Tensor gamma = vector_of_floats(affine.gamma), beta = vector_of_floats(affine.beta);
  const int64_t count = x.size(0), width = x.size(1);
  const Tensor y = at::empty({count, width}, x.options());
  const Tensor normalized = graph ? at::empty_like(y) : Tensor();
  const Tensor rstd = graph ? at::empty({count}, gamma.options()) : Tensor();
  with_element(x, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().norm_forward({rows<const T>(in), rows<const T>(other), floats(gamma),
                                    floats(beta), static_cast<float>(affine.eps), rows<T>(y),
                                    rows<T>(normalized), floats(rstd), count, width,
                                    mask_of(dropout, count), scratch(width)});
  });
  if (!graph) return y;
  return differentiable(
      inputs, {y,
               {normalized, rstd, gamma},
               [dropout](const Tensor& dy, const std::vector<Tensor>& saved, const Needs& needs) {
                 return norm_gradients(dy, saved, dropout, needs);
               }});
}

}  // namespace

Tensor dropout(const Tensor& x, const Dropout& dropout) {
  if (!active(dropout)) return x;
  if (on_cuda(x)) return device::dropout(x, dropout);
  if (!fast(x)) return plain::dropout(x, dropout);
  const Tensor y = dropped(row_major(x.detach()), dropout);
  if (!wants_gradient({x})) return y;
  return differentiable(
      {x}, {y,
            {},
            [dropout](const Tensor& dy, const std::vector<Tensor>&,
                      const Needs&) -> std::vector<Tensor> { return {dropped(dy, dropout)}; }});
}

Tensor layer_norm(const Tensor& x, const Affine& affine) {
  if (device::takes_norm(x)) return device::layer_norm(x, affine);
  return fast(x) ? norm(x, {}, affine, {}) : plain::layer_norm(x, affine);
}

Branches dropout_add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                          const Dropout& dropout) {
  if (device::takes_norm(x)) return device::dropout_add_norm(x, residual, affine, dropout);
  if (!fast(x)) return plain::dropout_add_norm(x, residual, affine, dropout);
  const Tensor y = norm(x, residual, affine, dropout);
  return {y, y};
}

Tensor gelu(const Tensor& x) {
  if (!fast(x)) return plain::gelu(x);
  const Tensor in = x.detach().contiguous(), y = at::empty_like(in);
  with_element(in, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().gelu_forward(static_cast<const T*>(in.data_ptr()),
                                   static_cast<T*>(y.data_ptr()), in.numel());
  });
  if (!wants_gradient({x})) return y;
  const auto backward = [](const Tensor& dy, const std::vector<Tensor>& saved,
                           const Needs&) -> std::vector<Tensor> {
    const Tensor d = dy.contiguous(), dx = at::empty_like(d);
    with_element(d, [&](auto element) {
      using T = decltype(element);
      cpu::kernels<T>().gelu_backward(static_cast<const T*>(saved[0].data_ptr()),
                                      static_cast<const T*>(d.data_ptr()),
                                      static_cast<T*>(dx.data_ptr()), d.numel());
    });
    return {dx};
  };
  return differentiable({x}, {y, {in}, backward});
}

}  // namespace mtlora::backend
