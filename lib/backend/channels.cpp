// y = x ⊙ scale + shift, and diagonal blocks: dx = dy ⊙ scale, dscale = Σ dy ⊙ x, dshift = Σ dy
// over the tokens. The plain forms are ordinary ATen operations.
#include "lib/backend/channels.h"

#include "lib/backend/cpu/channel_kernels.h"
#include "lib/backend/gemm.h"
#include "lib/backend/kernel_call.h"
#include "lib/backend/plain.h"

namespace mtlora::backend {
namespace {

Tensor plain_scale(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  const Tensor wide = plain::widened(x);
  const Tensor scaled = wide * scale.to(wide.scalar_type());
  return (shift.defined() ? scaled + shift.to(wide.scalar_type()) : scaled).to(x.scalar_type());
}

Tensor plain_diagonals(const Tensor& y, const Tensor& x, const std::vector<Diagonal>& diagonals) {
  Tensor sum = plain::widened(y);
  for (const Diagonal& d : diagonals) {
    const int64_t count = d.scale.size(0), after = y.size(1) - d.out_begin - count;
    const Tensor part = plain::widened(x.narrow(1, 0, count)) * d.scale.to(sum.scalar_type());
    sum = sum + at::constant_pad_nd(part, {d.out_begin, after});
  }
  return sum.to(y.scalar_type());
}

/// y = x ⊙ scale + shift + base
void scale_into(const Tensor& y, const Tensor& x, const Tensor& scale, const Tensor& shift,
                const Tensor& base) {
  with_element(x, [&](auto element) {
    using T = decltype(element);
    cpu::channel_kernels<T>().scale({rows<const T>(x), rows<const T>(base), floats(scale),
                                     floats(shift), rows<T>(y), x.size(0), x.size(1)});
  });
}

/// dscale += Σ dy ⊙ x, dshift += Σ dy
void add_sums(const Tensor& dy, const Tensor& x, const Tensor& dscale, const Tensor& dshift) {
  with_element(dy, [&](auto element) {
    using T = decltype(element);
    cpu::channel_kernels<T>().sums({rows<const T>(dy), rows<const T>(x), floats(dscale),
                                    floats(dshift), dy.size(0), dy.size(1)});
  });
}

std::vector<Tensor> scale_gradients(const Tensor& dy, const std::vector<Tensor>& saved,
                                    const Needs& needs) {
  const Tensor &x = saved[0], &scale = saved[1];
  const Tensor dx = needs[0] ? at::empty({dy.size(0), dy.size(1)}, dy.options()) : Tensor();
  if (needs[0]) scale_into(dx, dy, scale, {}, {});
  const Tensor dscale = needs[1] ? at::zeros_like(scale) : Tensor();
  const Tensor dshift = needs[2] ? at::zeros_like(scale) : Tensor();
  if (needs[1] || needs[2]) add_sums(dy, x, dscale, dshift);
  return {dx, dscale, dshift};
}

/// Inputs: y, x, the scale of every block. Saved: x.
struct DiagonalsBackward {
  std::vector<Diagonal> diagonals;  // detached

  std::vector<Tensor> operator()(const Tensor& dy, const std::vector<Tensor>& saved,
                                 const Needs& needs) const {
    const Tensor& x = saved[0];
    std::vector<Tensor> result(2 + diagonals.size());
    result[0] = dy;
    if (needs[1]) result[1] = at::zeros({x.size(0), x.size(1)}, x.options());
    for (size_t i = 0; i < diagonals.size(); ++i) {
      const Tensor& scale = diagonals[i].scale;
      const Tensor of_block = dy.narrow(1, diagonals[i].out_begin, scale.size(0));
      if (needs[1]) {
        const Tensor dx = result[1].narrow(1, 0, scale.size(0));
        scale_into(dx, of_block, scale, {}, dx);
      }
      if (!needs[2 + i]) continue;
      result[2 + i] = at::zeros_like(scale);
      add_sums(of_block, x, result[2 + i], {});
    }
    return result;
  }
};

/// x as two bf16 numbers: their sum has at least 16 of its bits. [2 · rows, in]
Tensor halves(const Tensor& x) {
  const Tensor high = x.to(at::kBFloat16);
  return at::cat({high, (x - high.to(at::kFloat)).to(at::kBFloat16)});
}

}  // namespace

Tensor scale_channels(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  if (!fast(x)) return plain_scale(x, scale, shift);
  const Tensor in = row_major(x.detach()), factors = vector_of_floats(scale);
  const Tensor y = at::empty({x.size(0), x.size(1)}, x.options());
  scale_into(y, in, factors, vector_of_floats(shift), {});
  const std::vector<Tensor> inputs{x, scale, shift};
  if (!wants_gradient(inputs)) return y;
  return differentiable(inputs, Computed{y, {in, factors}, scale_gradients});
}

Tensor add_diagonals(const Tensor& y, const Tensor& x, const std::vector<Diagonal>& diagonals) {
  if (!fast(x)) return plain_diagonals(y, x, diagonals);
  const Tensor in = row_major(x.detach()), out = y.detach().clone(at::MemoryFormat::Contiguous);
  std::vector<Tensor> inputs{y, x};
  DiagonalsBackward backward;
  for (const Diagonal& d : diagonals) {
    inputs.push_back(d.scale);
    const Tensor scale = vector_of_floats(d.scale);
    const Tensor block = out.narrow(1, d.out_begin, scale.size(0));
    scale_into(block, in.narrow(1, 0, scale.size(0)), scale, {}, block);
    backward.diagonals.push_back({d.out_begin, scale});
  }
  if (!wants_gradient(inputs)) return out;
  return differentiable(inputs, Computed{out, {in}, backward});
}

Tensor exact_product(const Tensor& weight, const Tensor& x) {
  const at::NoGradGuard no_graph;
  const Tensor w = weight.detach(), r = x.detach();
  if (!fast(w) || r.scalar_type() != at::kFloat) return at::mm(w.to(r.scalar_type()), r.t());
  if (w.scalar_type() == at::kFloat) return gemm_float(w, pack(r.t(), at::kFloat));
  const Tensor both = gemm_float(w, pack(halves(r).t(), at::kBFloat16));
  return both.narrow(1, 0, r.size(0)) + both.narrow(1, r.size(0), r.size(0));
}

}  // namespace mtlora::backend
