// Attention over packed sequences; the arithmetic is in cpu/attention.h.
#include <ATen/ATen.h>

#include "lib/backend/attention_call.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain.h"

namespace mtlora::backend {
namespace {

/// Queries, keys and values of one call; q has all tokens' rows, or one row a sequence.
struct Inputs {
  Tensor q, k, v;
  Packing packing;
  AttentionShape shape;
  Dropout dropout;
  bool pooled;

  int64_t sequences() const { return static_cast<int64_t>(packing.offsets->size()) - 1; }
  int64_t begin(int64_t i) const { return (*packing.offsets)[static_cast<size_t>(i)]; }
  int64_t keys(int64_t i) const { return begin(i + 1) - begin(i); }
  int64_t first_query(int64_t i) const { return pooled ? i : begin(i); }
  int64_t queries(int64_t i) const { return pooled ? 1 : keys(i); }
  int64_t head() const { return q.size(1) / shape.heads; }
  float* scratch_memory() const { return scratch(cpu::attention_scratch(packing.longest, head())); }
};

/// [queries, width]; filler rows are zero. `statistics` [queries, heads, 2] is filled in.
template <class T>
void forward_of(const Inputs& in, const Tensor& out, const Tensor& statistics) {
  const cpu::Mask mask = mask_of(in.dropout, in.q.size(0));
  float* memory = in.scratch_memory();
  for (int64_t i = 0; i < in.sequences(); ++i) {
    const int64_t query = in.first_query(i), key = in.begin(i);
    cpu::kernels<T>().attention_forward(
        {rows<const T>(in.q).from(query), rows<const T>(in.k).from(key),
         rows<const T>(in.v).from(key), rows<T>(out).from(query),
         floats(statistics) + query * in.shape.heads * 2, in.queries(i), in.keys(i), in.shape.heads,
         in.head(), static_cast<float>(in.shape.scale), mask.from(query), memory});
  }
}

struct Gradients {
  Tensor dq, dk, dv;
};

template <class T>
void backward_of(const Inputs& in, const Tensor& statistics, const Tensor& dout,
                 const Gradients& g) {
  const cpu::Mask mask = mask_of(in.dropout, in.q.size(0));
  float* memory = in.scratch_memory();
  for (int64_t i = 0; i < in.sequences(); ++i) {
    const int64_t query = in.first_query(i), key = in.begin(i);
    cpu::kernels<T>().attention_backward(
        {rows<const T>(in.q).from(query), rows<const T>(in.k).from(key),
         rows<const T>(in.v).from(key), rows<const T>(dout).from(query), rows<T>(g.dq).from(query),
         rows<T>(g.dk).from(key), rows<T>(g.dv).from(key),
         floats(statistics) + query * in.shape.heads * 2, in.queries(i), in.keys(i), in.shape.heads,
         in.head(), static_cast<float>(in.shape.scale), mask.from(query), memory});
  }
}

Tensor computed_output(const Inputs& in, Tensor& statistics) {
  const Tensor out = at::empty({in.q.size(0), in.q.size(1)}, in.q.options());
  statistics = at::empty({in.q.size(0), in.shape.heads, 2}, in.q.options().dtype(at::kFloat));
  if (!in.pooled) clear_filler(out, in.packing);
  with_element(out, [&](auto element) { forward_of<decltype(element)>(in, out, statistics); });
  return out;
}

Inputs split(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
             const Dropout& dropout) {
  const int64_t width = qkv.size(1) / 3;
  return {qkv.narrow(1, 0, width),
          qkv.narrow(1, width, width),
          qkv.narrow(1, 2 * width, width),
          packing,
          shape,
          dropout,
          false};
}

Inputs pool(const Tensor& q, const Tensor& kv, const Packing& packing, const AttentionShape& shape,
            const Dropout& dropout) {
  const int64_t width = q.size(1);
  return {q, kv.narrow(1, 0, width), kv.narrow(1, width, width), packing, shape, dropout, true};
}

}  // namespace

Tensor self_attention(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
                      const Dropout& dropout) {
  if (on_cuda(qkv) && qkv.size(1) / 3 / shape.heads <= cuda::kWidestHead)
    return device::self_attention(qkv, packing, shape, dropout);
  if (!fast_attention(qkv, qkv.size(1) / 3 / shape.heads))
    return plain::self_attention(qkv, packing, shape, dropout);
  const Tensor x = row_major(qkv.detach());
  Tensor statistics;
  const Tensor out = computed_output(split(x, packing, shape, dropout), statistics);
  if (!wants_gradient({qkv})) return out;
  const auto backward = [packing, shape, dropout](const Tensor& dout,
                                                  const std::vector<Tensor>& saved,
                                                  const Needs&) -> std::vector<Tensor> {
    const Tensor d = at::empty({saved[0].size(0), saved[0].size(1)}, saved[0].options());
    const int64_t width = d.size(1) / 3;
    clear_filler(d, packing);
    with_element(d, [&](auto element) {
      backward_of<decltype(element)>(
          split(saved[0], packing, shape, dropout), saved[1], dout,
          {d.narrow(1, 0, width), d.narrow(1, width, width), d.narrow(1, 2 * width, width)});
    });
    return {d};
  };
  return differentiable({qkv}, {out, {x, statistics}, backward});
}

Tensor pooled_attention(const Tensor& q, const Tensor& kv, const Packing& packing,
                        const AttentionShape& shape, const Dropout& dropout) {
  if (on_cuda(q) && q.size(1) / shape.heads <= cuda::kWidestHead)
    return device::pooled_attention(q, kv, packing, shape, dropout);
  if (!fast_attention(q, q.size(1) / shape.heads))
    return plain::pooled_attention(q, kv, packing, shape, dropout);
  const Tensor query = row_major(q.detach()), x = row_major(kv.detach());
  Tensor statistics;
  const Tensor out = computed_output(pool(query, x, packing, shape, dropout), statistics);
  if (!wants_gradient({q, kv})) return out;
  const auto backward = [packing, shape, dropout](const Tensor& dout,
                                                  const std::vector<Tensor>& saved,
                                                  const Needs&) -> std::vector<Tensor> {
    const Tensor dq = at::empty({saved[0].size(0), saved[0].size(1)}, saved[0].options());
    const Tensor d = at::empty({saved[1].size(0), saved[1].size(1)}, saved[1].options());
    const int64_t width = dq.size(1);
    clear_filler(d, packing);
    with_element(d, [&](auto element) {
      backward_of<decltype(element)>(pool(saved[0], saved[1], packing, shape, dropout), saved[2],
                                     dout, {dq, d.narrow(1, 0, width), d.narrow(1, width, width)});
    });
    return {dq, d};
  };
  return differentiable({q, kv}, {out, {query, x, statistics}, backward});
}

}  // namespace mtlora::backend
