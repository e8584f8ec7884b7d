// Rotary embedding, pre-norms and activations of decoders on rows of tokens; the arithmetic is in
// cpu/decoder_elementwise.h.
#include <ATen/ATen.h>

#include "lib/backend/cpu/decoder_kernels.h"
#include "lib/backend/kernel_call.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"
#include "lib/backend/plain_decoder.h"

namespace mtlora::backend {
namespace {

/// What turns the rows of one call: the positions of the rows and the tables of angles.
struct Turn {
  Tensor positions, cos, sin;
  int64_t rotated_heads;

  void check() const {
    const int64_t* position = positions.data_ptr<int64_t>();
    for (int64_t i = 0; i < positions.numel(); ++i)
      TORCH_INTERNAL_ASSERT(position[i] >= 0 && position[i] < cos.size(0), "position ", position[i],
                            " has no angle; there are ", cos.size(0));
  }

  Tensor apply(const Tensor& x, bool backwards) const {
    const Tensor y = at::empty({x.size(0), x.size(1)}, x.options());
    with_element(x, [&](auto element) {
      using T = decltype(element);
      cpu::decoder_kernels<T>().rotate({rows<const T>(x), rows<T>(y), positions.data_ptr<int64_t>(),
                                        floats(cos), floats(sin), x.size(0), x.size(1),
                                        rotated_heads, cos.size(1), backwards});
    });
    return y;
  }
};

/// gamma and beta of a pre-norm; RMSNorm where beta is undefined.
using Gains = Affine;

/// x, residual (may be undefined), gamma, beta (may be undefined): the inputs of a pre-norm's node.
using Inputs = std::vector<Tensor>;

/// The gradients of the inputs; dnormed and dsum may be undefined, but not both.
std::vector<Tensor> pre_norm_gradients(const std::vector<Tensor>& gradients,
                                       const std::vector<Tensor>& saved, bool centred,
                                       const Dropout& dropout, const Needs& needs) {
  const Tensor &sum = saved[0], &statistics = saved[1], &gamma = saved[2];
  const int64_t count = sum.size(0), width = sum.size(1);
  const Tensor dnormed =
      gradients[0].defined() ? gradients[0] : at::zeros({count, width}, sum.options());
  const Tensor dsum = gradients.size() > 1 ? gradients[1] : Tensor();
  const bool separate = needs[0] && active(dropout);  // else x and residual have one gradient
  const Tensor dresidual = at::empty({count, width}, sum.options());
  const Tensor dx = separate ? at::empty_like(dresidual) : Tensor();
  const Tensor dgamma = needs[2] ? at::zeros_like(gamma) : Tensor();
  const Tensor dbeta = needs[3] ? at::zeros_like(gamma) : Tensor();
  with_element(sum, [&](auto element) {
    using T = decltype(element);
    cpu::decoder_kernels<T>().pre_norm_backward(
        {rows<const T>(dnormed), rows<const T>(dsum), rows<const T>(sum), floats(statistics),
         floats(gamma), centred, rows<T>(dresidual), rows<T>(dx), floats(dgamma), floats(dbeta),
         count, width, mask_of(dropout, count), scratch(2 * width)});
  });
  return {separate ? dx : dresidual, dresidual, dgamma, dbeta};
}

/// {normed, sum}; of an undefined residual, {normed} alone.
std::vector<Tensor> pre_norm(const Inputs& inputs, double eps, const Dropout& dropout) {
  const bool graph = wants_gradient(inputs), added = inputs[1].defined(),
             centred = inputs[3].defined();
  const Tensor x = row_major(inputs[0].detach());
  const Tensor residual = added ? row_major(inputs[1].detach()) : Tensor();
  const Tensor gamma = vector_of_floats(inputs[2]), beta = vector_of_floats(inputs[3]);
  const int64_t count = x.size(0), width = x.size(1);
  const Tensor normed = at::empty({count, width}, x.options());
  const Tensor sum = added ? at::empty_like(normed) : Tensor();
  const Tensor statistics = graph ? at::empty({count, 2}, gamma.options()) : Tensor();
  with_element(x, [&](auto element) {
    using T = decltype(element);
    cpu::decoder_kernels<T>().pre_norm_forward(
        {rows<const T>(x), rows<const T>(residual), floats(gamma), floats(beta),
         static_cast<float>(eps), rows<T>(sum), rows<T>(normed), floats(statistics), count, width,
         mask_of(dropout, count), scratch(width)});
  });
  std::vector<Tensor> outputs{normed};
  if (added) outputs.push_back(sum);
  if (!graph) return outputs;
  const auto backward = [centred, dropout](const std::vector<Tensor>& gradients,
                                           const std::vector<Tensor>& saved, const Needs& needs) {
    return pre_norm_gradients(gradients, saved, centred, dropout, needs);
  };
  return differentiable(inputs,
                        ComputedTogether{outputs, {added ? sum : x, statistics, gamma}, backward});
}

Normed named(const std::vector<Tensor>& outputs) {
  return {outputs[1], outputs[0]};
}

Tensor swiglu_gradient(const Tensor& dy, const Tensor& x) {
  const Tensor dx = at::empty({x.size(0), x.size(1)}, x.options());
  with_element(x, [&](auto element) {
    using T = decltype(element);
    cpu::decoder_kernels<T>().swiglu_backward(
        {rows<const T>(x), rows<const T>(dy), {}, rows<T>(dx), x.size(0), dy.size(1)});
  });
  return dx;
}

Tensor gelu_tanh_gradient(const Tensor& dy, const Tensor& x) {
  const Tensor d = dy.contiguous(), dx = at::empty_like(d);
  with_element(d, [&](auto element) {
    using T = decltype(element);
    cpu::decoder_kernels<T>().gelu_tanh_backward(static_cast<const T*>(x.data_ptr()),
                                                 static_cast<const T*>(d.data_ptr()),
                                                 static_cast<T*>(dx.data_ptr()), d.numel());
  });
  return dx;
}

}  // namespace

Tensor rotate(const Tensor& qkv, const Tensor& positions, const Rotary& rotary,
              const CausalShape& shape) {
  const int64_t heads = shape.heads + 2 * shape.kv_heads;
  TORCH_INTERNAL_ASSERT(
      qkv.size(1) % (2 * heads) == 0 && rotary.cos.size(1) == qkv.size(1) / heads / 2 &&
          positions.scalar_type() == at::kLong && positions.numel() == qkv.size(0),
      "rotation wants one int64 position a token and angles of head / 2 pairs");
  if (on_cuda(qkv)) return device::rotate(qkv, positions, rotary, shape);
  if (!fast(qkv)) return plain::rotate(qkv, positions, rotary, shape);
  const Turn turn{positions.contiguous(), vector_of_floats(rotary.cos),
                  vector_of_floats(rotary.sin), shape.heads + shape.kv_heads};
  turn.check();
  const Tensor y = turn.apply(row_major(qkv.detach()), false);
  if (!wants_gradient({qkv})) return y;
  const auto backward = [turn](const Tensor& dy, const std::vector<Tensor>&,
                               const Needs&) -> std::vector<Tensor> {
    return {turn.apply(dy, true)};
  };
  return differentiable({qkv}, Computed{y, {}, backward});
}

Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps) {
  if (device::takes_norm(x)) return device::rms_norm(x, gamma, eps);
  return fast(x) ? pre_norm({x, {}, gamma, {}}, eps, {})[0] : plain::rms_norm(x, gamma, eps);
}

Normed add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma, double eps,
                    const Dropout& dropout) {
  if (device::takes_norm(x)) return device::add_norm(x, residual, {gamma, {}, eps}, dropout);
  return fast(x) ? named(pre_norm({x, residual, gamma, {}}, eps, dropout))
                 : plain::add_rms_norm(x, residual, gamma, eps, dropout);
}

Normed add_layer_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                      const Dropout& dropout) {
  if (device::takes_norm(x)) return device::add_norm(x, residual, affine, dropout);
  return fast(x) ? named(pre_norm({x, residual, affine.gamma, affine.beta}, affine.eps, dropout))
                 : plain::add_layer_norm(x, residual, affine, dropout);
}

Tensor swiglu(const Tensor& gate_up) {
  TORCH_INTERNAL_ASSERT(gate_up.size(1) % 2 == 0, "gate | up have an even number of columns");
  if (on_cuda(gate_up)) return device::swiglu(gate_up);
  if (!fast(gate_up)) return plain::swiglu(gate_up);
  const Tensor x = row_major(gate_up.detach());
  const Tensor y = at::empty({x.size(0), x.size(1) / 2}, x.options());
  with_element(x, [&](auto element) {
    using T = decltype(element);
    cpu::decoder_kernels<T>().swiglu_forward(
        {rows<const T>(x), {}, rows<T>(y), {}, x.size(0), y.size(1)});
  });
  if (!wants_gradient({gate_up})) return y;
  const auto backward = [](const Tensor& dy, const std::vector<Tensor>& saved,
                           const Needs&) -> std::vector<Tensor> {
    return {swiglu_gradient(dy, saved[0])};
  };
  return differentiable({gate_up}, Computed{y, {x}, backward});
}

Tensor gelu_tanh(const Tensor& x) {
  if (!fast(x)) return plain::gelu_tanh(x);
  const Tensor in = x.detach().contiguous(), y = at::empty_like(in);
  with_element(in, [&](auto element) {
    using T = decltype(element);
    cpu::decoder_kernels<T>().gelu_tanh_forward(static_cast<const T*>(in.data_ptr()),
                                                static_cast<T*>(y.data_ptr()), in.numel());
  });
  if (!wants_gradient({x})) return y;
  const auto backward = [](const Tensor& dy, const std::vector<Tensor>& saved,
                           const Needs&) -> std::vector<Tensor> {
    return {gelu_tanh_gradient(dy, saved[0])};
  };
  return differentiable({x}, Computed{y, {in}, backward});
}

}  // namespace mtlora::backend
