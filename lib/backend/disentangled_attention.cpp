// Disentangled attention over packed sequences; the arithmetic is in cpu/disentangled_attention.h.
#include <ATen/ATen.h>

#include "lib/backend/attention_call.h"
#include "lib/backend/disentangled_ops.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"

namespace mtlora::backend {
namespace {

/// What a call is told beside its tensors.
struct Setting {
  std::shared_ptr<const std::vector<int32_t>> row_of;
  Packing packing;
  AttentionShape shape;
  Dropout dropout;
  bool pooled;
};

/// Queries, keys and values, and the position rows (either may be undefined).
struct Inputs {
  Tensor q, k, v, position_query, position_key;

  std::vector<Tensor> positions() const { return {position_query, position_key}; }
};

/// In the type of the queries, detached, its columns contiguous.
Tensor prepared(const Tensor& positions, const Tensor& like) {
  if (!positions.defined()) return positions;
  return row_major(positions.detach().to(like.scalar_type()));
}

template <class T>
cpu::DisentangledInputs<T> kernel_inputs(const Inputs& in, const Setting& s) {
  const int64_t head = in.q.size(1) / s.shape.heads, longest = s.packing.longest;
  const auto reach = static_cast<int64_t>(s.row_of ? (s.row_of->size() + 1) / 2 : 0);
  TORCH_INTERNAL_ASSERT(
      reach >= longest || !(in.position_query.defined() || in.position_key.defined()),
      "sequences are longer than the reach of row_of");
  return {rows<const T>(in.q),
          rows<const T>(in.k),
          rows<const T>(in.v),
          rows<const T>(in.position_query),
          rows<const T>(in.position_key),
          s.row_of ? s.row_of->data() + reach - 1 : nullptr,
          s.packing.offsets->data(),
          static_cast<int64_t>(s.packing.offsets->size()) - 1,
          longest,
          s.pooled,
          s.shape.heads,
          head,
          static_cast<float>(s.shape.scale),
          mask_of(s.dropout, in.q.size(0)),
          scratch(cpu::disentangled_scratch(longest, head))};
}

/// [rows of q, width]; `statistics` [rows of q, heads, 2] is filled in.
Tensor forward_of(const Inputs& in, const Setting& s, Tensor& statistics) {
  const Tensor out = at::empty({in.q.size(0), in.q.size(1)}, in.q.options());
  statistics = at::empty({in.q.size(0), s.shape.heads, 2}, in.q.options().dtype(at::kFloat));
  if (!s.pooled) clear_filler(out, s.packing);
  with_element(out, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().disentangled_forward(
        {kernel_inputs<T>(in, s), rows<T>(out), floats(statistics)});
  });
  return out;
}

/// Where the gradients of q, k and v go.
struct Gradients {
  Tensor dq, dk, dv;
};

/// The gradients of the two position inputs, in their type; undefined where none is needed.
std::vector<Tensor> backward_of(const Inputs& in, const Setting& s, const Tensor& statistics,
                                const Tensor& dout, const Gradients& g, const Needs& needs) {
  std::vector<Tensor> sums;
  for (size_t i = 0; i < 2; ++i) {
    const Tensor positions = in.positions()[i];
    const bool wanted = positions.defined() && needs[i];
    sums.push_back(wanted ? at::zeros(positions.sizes(), positions.options().dtype(at::kFloat))
                          : Tensor());
  }
  with_element(dout, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().disentangled_backward(
        {kernel_inputs<T>(in, s), rows<const T>(dout), rows<T>(g.dq), rows<T>(g.dk), rows<T>(g.dv),
         rows<float>(sums[0]), rows<float>(sums[1]), floats(statistics)});
  });
  for (Tensor& sum : sums)
    if (sum.defined()) sum = sum.to(in.q.scalar_type());
  return sums;
}

Inputs split(const Tensor& qkv, const Tensor& position_query, const Tensor& position_key) {
  const int64_t width = qkv.size(1) / 3;
  return {qkv.narrow(1, 0, width), qkv.narrow(1, width, width), qkv.narrow(1, 2 * width, width),
          position_query, position_key};
}

Inputs pool(const Tensor& q, const Tensor& kv, const Tensor& position_query,
            const Tensor& position_key) {
  const int64_t width = q.size(1);
  return {q, kv.narrow(1, 0, width), kv.narrow(1, width, width), position_query, position_key};
}

/// What gradients of column_halves() are together; either may be undefined.
Tensor side_by_side(const Tensor& left, const Tensor& right) {
  const Tensor& one = left.defined() ? left : right;
  const int64_t rows = one.size(0), width = one.size(1);
  const auto is_half = [&](const Tensor& x) {
    return x.stride(0) == 2 * width && x.stride(1) == 1;
  };
  if (left.defined() && right.defined() && left.is_alias_of(right) && is_half(left) &&
      is_half(right) && right.storage_offset() == left.storage_offset() + width)
    return left.as_strided({rows, 2 * width}, {2 * width, 1});
  const auto or_zeros = [&](const Tensor& x) { return x.defined() ? x : at::zeros_like(one); };
  return at::cat({or_zeros(left), or_zeros(right)}, 1);
}

}  // namespace

std::pair<Tensor, Tensor> column_halves(const Tensor& x) {
  const int64_t width = x.size(1) / 2;
  const auto half = [&](int64_t i) { return x.narrow(1, i * width, width); };
  if (!on_cuda(x) || !wants_gradient({x})) return {half(0), half(1)};
  const auto backward = [](const std::vector<Tensor>& gradients, const std::vector<Tensor>&,
                           const Needs&) -> std::vector<Tensor> {
    return {side_by_side(gradients[0], gradients[1])};
  };
  const auto both = differentiable(
      {x}, ComputedTogether{{half(0).variable_data(), half(1).variable_data()}, {}, backward});
  return {both[0], both[1]};
}

Tensor disentangled_attention(const Tensor& qkv, const RelativePositions& positions,
                              const Packing& packing, const AttentionShape& shape,
                              const Dropout& dropout) {
  if (on_cuda(qkv) && qkv.size(1) / 3 / shape.heads <= cuda::kWidestHead)
    return device::disentangled_attention(qkv, positions, packing, shape, dropout);
  if (!fast_attention(qkv, qkv.size(1) / 3 / shape.heads))
    return plain::disentangled_attention(qkv, positions, packing, shape, dropout);
  const Setting setting{positions.row_of, packing, shape, dropout, false};
  const Tensor x = row_major(qkv.detach());
  const Tensor query = prepared(positions.query, x), key = prepared(positions.key, x);
  Tensor statistics;
  const Tensor out = forward_of(split(x, query, key), setting, statistics);
  const std::vector<Tensor> inputs{qkv, positions.query, positions.key};
  if (!wants_gradient(inputs)) return out;
  const auto backward = [setting](const Tensor& dout, const std::vector<Tensor>& saved,
                                  const Needs& needs) -> std::vector<Tensor> {
    const Tensor d = at::empty(saved[0].sizes(), saved[0].options());
    const int64_t width = d.size(1) / 3;
    clear_filler(d, setting.packing);
    const auto sums = backward_of(
        split(saved[0], saved[1], saved[2]), setting, saved[3], dout,
        {d.narrow(1, 0, width), d.narrow(1, width, width), d.narrow(1, 2 * width, width)},
        {needs[1], needs[2]});
    return {d, sums[0], sums[1]};
  };
  return differentiable(inputs, Computed{out, {x, query, key, statistics}, backward});
}

Tensor disentangled_pooled_attention(const Tensor& q, const Tensor& kv,
                                     const RelativePositions& positions, const Packing& packing,
                                     const AttentionShape& shape, const Dropout& dropout) {
  if (on_cuda(q) && q.size(1) / shape.heads <= cuda::kWidestHead)
    return device::disentangled_pooled_attention(q, kv, positions, packing, shape, dropout);
  if (!fast_attention(q, q.size(1) / shape.heads))
    return plain::disentangled_pooled_attention(q, kv, positions, packing, shape, dropout);
  const Setting setting{positions.row_of, packing, shape, dropout, true};
  const Tensor x = row_major(q.detach()), pairs = row_major(kv.detach());
  const Tensor query = prepared(positions.query, x), key = prepared(positions.key, x);
  Tensor statistics;
  const Tensor out = forward_of(pool(x, pairs, query, key), setting, statistics);
  const std::vector<Tensor> inputs{q, kv, positions.query, positions.key};
  if (!wants_gradient(inputs)) return out;
  const auto backward = [setting](const Tensor& dout, const std::vector<Tensor>& saved,
                                  const Needs& needs) -> std::vector<Tensor> {
    const Tensor dq = at::empty(saved[0].sizes(), saved[0].options());
    const Tensor d = at::empty(saved[1].sizes(), saved[1].options());
    const int64_t width = dq.size(1);
    clear_filler(d, setting.packing);
    const auto sums =
        backward_of(pool(saved[0], saved[1], saved[2], saved[3]), setting, saved[4], dout,
                    {dq, d.narrow(1, 0, width), d.narrow(1, width, width)}, {needs[2], needs[3]});
    return {dq, d, sums[0], sums[1]};
  };
  return differentiable(inputs, Computed{out, {x, pairs, query, key, statistics}, backward});
}

}  // namespace mtlora::backend
