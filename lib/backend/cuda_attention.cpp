// Attention over packed sequences on a CUDA device; the arithmetic is in cuda/attention_*.cu.
#include "lib/backend/cuda_attention_call.h"
#include "lib/core/error.h"

namespace mtlora::backend::device {
namespace attention {

Tensor on_device(const std::vector<int32_t>& values, const Tensor& like) {
  return at::tensor(values, at::kInt).to(like.device());
}

Tensor offsets_of(const Packing& packing, const Tensor& like) {
  return packing.device_offsets.defined() ? packing.device_offsets
                                          : on_device(*packing.offsets, like);
}

namespace {

cuda::AttentionCall call_of(const Inputs& in, const Setting& s, const Result& result) {
  cuda::AttentionCall call{};
  call.element = element_of(in.q);
  call.q = matrix(in.q);
  call.k = matrix(in.k);
  call.v = matrix(in.v);
  call.out = matrix(result.out);
  call.statistics = result.statistics.data_ptr<float>();
  call.wide = floats(result.wide);
  call.offsets = s.offsets.data_ptr<int32_t>();
  call.sequences = s.offsets.size(0) - 1;
  if (call.sequences > cuda::kMostSequences)
    fail(
        "a batch of {} sequences is more than the {} that a CUDA device takes at once; lower "
        "train.batch_size or train.evaluation_batch_size",
        call.sequences, cuda::kMostSequences);
  call.query_rows = in.q.size(0);
  call.key_rows = in.k.size(0);
  call.longest = s.longest;
  call.heads = s.heads;
  call.kv_heads = s.kv_heads;
  call.head = s.head;
  call.scale = static_cast<float>(s.scale);
  call.causal = s.causal;
  call.pooled = s.pooled;
  call.mask = device_mask(s.dropout, in.q.size(0));
  if (s.row_of.defined()) {
    call.relative.c2p = floats(in.c2p);
    call.relative.p2c = floats(in.p2c);
    call.relative.row_of = s.row_of.data_ptr<int32_t>();
    call.relative.count = (in.c2p.defined() ? in.c2p : in.p2c).size(2);
    call.relative.reach = (s.row_of.size(0) + 1) / 2;
  }
  return call;
}

}  // namespace

Result forward_of(const Inputs& in, const Setting& s, bool graph) {
  const auto fp32 = in.q.options().dtype(at::kFloat);
  const int64_t rows = in.q.size(0), width = in.q.size(1);
  Result result{at::empty({rows, width}, in.q.options()), at::empty({rows, s.heads, 2}, fp32), {}};
  if (graph && in.q.scalar_type() != at::kFloat) result.wide = at::empty({rows, width}, fp32);
  cuda::attention_forward(call_of(in, s, result), cuda::current_stream());
  return result;
}

void backward_of(const Inputs& in, const Setting& s, const Result& result, const Tensor& dout,
                 const Inputs& gradients) {
  Tensor delta;
  if (in.q.scalar_type() == at::kFloat)
    delta = at::empty({in.q.size(0), s.heads}, result.statistics.options());
  cuda::AttentionBackwardCall call{call_of(in, s, result), matrix(dout),        matrix(gradients.q),
                                   matrix(gradients.k),    matrix(gradients.v), floats(delta)};
  call.forward.relative.dc2p = floats(gradients.c2p);
  call.forward.relative.dp2c = floats(gradients.p2c);
  cuda::attention_backward(call, cuda::current_stream());
}

Inputs split(const Tensor& qkv, const Setting& s) {
  const int64_t width = s.heads * s.head, kv_width = s.kv_heads * s.head;
  return {qkv.narrow(1, 0, width),
          qkv.narrow(1, width, kv_width),
          qkv.narrow(1, width + kv_width, kv_width),
          {},
          {}};
}

Inputs split(const Tensor& q, const Tensor& kv) {
  const int64_t width = q.size(1);
  return {q, kv.narrow(1, 0, width), kv.narrow(1, width, width), {}, {}};
}

Setting setting_of(const Tensor& q, int64_t width, const Packing& packing,
                   const AttentionShape& shape, const Dropout& dropout, bool pooled) {
  return {shape.heads,
          shape.heads,
          width / shape.heads,
          shape.scale,
          false,
          pooled,
          offsets_of(packing, q),
          packing.longest,
          beside(dropout, q),
          {}};
}

}  // namespace attention

using namespace attention;

namespace {

Tensor of_one_matrix(const Tensor& qkv, const Setting& s) {
  const Tensor x = row_major(qkv.detach());
  const bool graph = wants_gradient({qkv});
  const Result result = forward_of(split(x, s), s, graph);
  if (!graph) return result.out;
  const auto backward = [s](const Tensor& dout, const std::vector<Tensor>& saved,
                            const Needs&) -> std::vector<Tensor> {
    const Tensor d = at::empty({saved[0].size(0), saved[0].size(1)}, saved[0].options());
    backward_of(split(saved[0], s), s, {saved[1], saved[2], saved[3]}, dout, split(d, s));
    return {d};
  };
  return differentiable(
      {qkv}, Computed{result.out, {x, result.out, result.statistics, result.wide}, backward});
}

}  // namespace

Tensor self_attention(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
                      const Dropout& dropout) {
  return of_one_matrix(qkv, setting_of(qkv, qkv.size(1) / 3, packing, shape, dropout, false));
}

Tensor causal_attention(const Tensor& qkv, const Packing& packing, const CausalShape& shape,
                        const Dropout& dropout) {
  const int64_t head = qkv.size(1) / (shape.heads + 2 * shape.kv_heads);
  return of_one_matrix(qkv, {shape.heads,
                             shape.kv_heads,
                             head,
                             shape.scale,
                             true,
                             false,
                             offsets_of(packing, qkv),
                             packing.longest,
                             beside(dropout, qkv),
                             {}});
}

Tensor pooled_attention(const Tensor& q, const Tensor& kv, const Packing& packing,
                        const AttentionShape& shape, const Dropout& dropout) {
  const Setting s = setting_of(q, q.size(1), packing, shape, dropout, true);
  const Tensor query = row_major(q.detach()), x = row_major(kv.detach());
  const bool graph = wants_gradient({q, kv});
  const Result result = forward_of(split(query, x), s, graph);
  if (!graph) return result.out;
  const auto backward = [s](const Tensor& dout, const std::vector<Tensor>& saved,
                            const Needs&) -> std::vector<Tensor> {
    const Tensor dq = at::empty({saved[0].size(0), saved[0].size(1)}, saved[0].options());
    const Tensor dkv = at::empty({saved[1].size(0), saved[1].size(1)}, saved[1].options());
    backward_of(split(saved[0], saved[1]), s, {saved[2], saved[3], saved[4]}, dout, split(dq, dkv));
    return {dq, dkv};
  };
  return differentiable(
      {q, kv},
      Computed{result.out, {query, x, result.out, result.statistics, result.wide}, backward});
}

}  // namespace mtlora::backend::device
