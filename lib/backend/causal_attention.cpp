// Causal attention over packed sequences; the arithmetic is in cpu/causal_attention.h.
#include <ATen/ATen.h>

#include "lib/backend/attention_call.h"
#include "lib/backend/cpu/decoder_kernels.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain_decoder.h"

namespace mtlora::backend {
namespace {

cpu::HeadGroups heads_of(const Tensor& qkv, const CausalShape& shape) {
  TORCH_INTERNAL_ASSERT(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0 &&
                            qkv.size(1) % (shape.heads + 2 * shape.kv_heads) == 0,
                        "the columns of q | k | v do not fit their heads");
  return {shape.heads, shape.kv_heads, qkv.size(1) / (shape.heads + 2 * shape.kv_heads)};
}

/// One call's input and what is told of it.
struct Inputs {
  Tensor qkv;
  cpu::HeadGroups heads;
  Packing packing;
  float scale;
  Dropout dropout;

  /// Calls f(first row, rows, mask, scratch memory) for every sequence.
  template <class F>
  void each_sequence(F&& f) const {
    const cpu::Mask mask = mask_of(dropout, qkv.size(0));
    float* memory = scratch(cpu::causal_scratch(packing.longest, heads));
    const std::vector<int32_t>& offsets = *packing.offsets;
    for (size_t i = 0; i + 1 < offsets.size(); ++i)
      f(offsets[i], offsets[i + 1] - offsets[i], mask.from(offsets[i]), memory);
  }
};

Tensor with_cleared_filler(const Inputs& in, int64_t columns) {
  const Tensor x = at::empty({in.qkv.size(0), columns}, in.qkv.options());
  clear_filler(x, in.packing);
  return x;
}

/// `statistics` [tokens, heads, 2] is filled in.
Tensor forward_of(const Inputs& in, const Tensor& statistics) {
  const Tensor out = with_cleared_filler(in, in.heads.width());
  with_element(out, [&](auto element) {
    using T = decltype(element);
    in.each_sequence([&](int64_t begin, int64_t tokens, const cpu::Mask& mask, float* memory) {
      cpu::decoder_kernels<T>().causal_forward({rows<const T>(in.qkv).from(begin),
                                                rows<T>(out).from(begin),
                                                floats(statistics) + begin * in.heads.heads * 2,
                                                tokens, in.heads, in.scale, mask, memory});
    });
  });
  return out;
}

Tensor backward_of(const Inputs& in, const Tensor& statistics, const Tensor& dout) {
  const Tensor dqkv = with_cleared_filler(in, in.heads.columns());
  with_element(dqkv, [&](auto element) {
    using T = decltype(element);
    in.each_sequence([&](int64_t begin, int64_t tokens, const cpu::Mask& mask, float* memory) {
      cpu::decoder_kernels<T>().causal_backward(
          {rows<const T>(in.qkv).from(begin), rows<const T>(dout).from(begin),
           rows<T>(dqkv).from(begin), floats(statistics) + begin * in.heads.heads * 2, tokens,
           in.heads, in.scale, mask, memory});
    });
  });
  return dqkv;
}

}  // namespace

Tensor causal_attention(const Tensor& qkv, const Packing& packing, const CausalShape& shape,
                        const Dropout& dropout) {
  const cpu::HeadGroups heads = heads_of(qkv, shape);
  if (on_cuda(qkv) && heads.head <= cuda::kWidestHead)
    return device::causal_attention(qkv, packing, shape, dropout);
  if (!fast_attention(qkv, heads.head))
    return plain::causal_attention(qkv, packing, shape, dropout);
  const Inputs in{row_major(qkv.detach()), heads, packing, static_cast<float>(shape.scale),
                  dropout};
  const Tensor statistics =
      at::empty({qkv.size(0), heads.heads, 2}, qkv.options().dtype(at::kFloat));
  const Tensor out = forward_of(in, statistics);
  if (!wants_gradient({qkv})) return out;
  const auto backward = [heads, packing, scale = in.scale, dropout](
                            const Tensor& dout, const std::vector<Tensor>& saved,
                            const Needs&) -> std::vector<Tensor> {
    return {backward_of({saved[0], heads, packing, scale, dropout}, saved[1], dout)};
  };
  return differentiable({qkv}, Computed{out, {in.qkv, statistics}, backward});
}

}  // namespace mtlora::backend
