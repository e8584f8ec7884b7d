// Attention over packed sequences on a CUDA device; the arithmetic is in cuda/attention_*.cu.
#include <tuple>
#include <utility>

#include "lib/backend/cuda_call.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend::device {
namespace {

/// Everything of one call but its tensors.
struct Setting {
  int64_t heads, kv_heads, head;
  double scale;
  bool causal, pooled;
  Tensor offsets;  // [sequences + 1] int32, on the device
  int64_t longest;
  Dropout dropout;
  Tensor row_of;  // of disentangled attention, int32 on the device; else undefined
};

Tensor on_device(const std::vector<int32_t>& values, const Tensor& like) {
  return at::tensor(values, at::kInt).to(like.device());
}

Tensor offsets_of(const Packing& packing, const Tensor& like) {
  return packing.device_offsets.defined() ? packing.device_offsets
                                          : on_device(*packing.offsets, like);
}

/// q, k and v, and the scores of content with positions (either may be undefined): c2p [heads, rows
/// of q, positions], p2c [heads, tokens, positions].
struct Inputs {
  Tensor q, k, v, c2p, p2c;
};

/// What a forward pass leaves.
struct Result {
  Tensor out;
  Tensor statistics;  // [rows of q, heads, 2]
  Tensor wide;        // out in fp32, for a backward pass; undefined where out is that
};

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

/// `graph`: a backward pass may follow.
Result forward_of(const Inputs& in, const Setting& s, bool graph) {
  const auto fp32 = in.q.options().dtype(at::kFloat);
  const int64_t rows = in.q.size(0), width = in.q.size(1);
  Result result{at::empty({rows, width}, in.q.options()), at::empty({rows, s.heads, 2}, fp32), {}};
  if (graph && in.q.scalar_type() != at::kFloat) result.wide = at::empty({rows, width}, fp32);
  cuda::attention_forward(call_of(in, s, result), cuda::current_stream());
  return result;
}

/// Into dq, dk and dv; dc2p and dp2c are fp32, zeros where wanted, else undefined.
void backward_of(const Inputs& in, const Setting& s, const Result& result, const Tensor& dout,
                 const Inputs& gradients) {
  const Tensor delta = at::empty({in.q.size(0), s.heads}, result.statistics.options());
  cuda::AttentionBackwardCall call{call_of(in, s, result), matrix(dout),
                                   matrix(gradients.q),    matrix(gradients.k),
                                   matrix(gradients.v),    delta.data_ptr<float>()};
  call.forward.relative.dc2p = floats(gradients.c2p);
  call.forward.relative.dp2c = floats(gradients.p2c);
  cuda::attention_backward(call, cuda::current_stream());
}

/// q, k and v as columns of one matrix.
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

/// [rows, width] as [heads, rows, head].
Tensor by_head(const Tensor& x, const Setting& s) {
  return x.reshape({x.size(0), s.heads, s.head}).transpose(0, 1);
}

Tensor products(const Tensor& content, const Tensor& positions, const Setting& s) {
  if (!positions.defined()) return {};
  // scores are not rounded to the activations' type
  return wide_product(by_head(content, s), by_head(positions, s).transpose(1, 2));
}

Tensor prepared(const Tensor& positions, const Tensor& like) {
  return positions.defined() ? row_major(positions.detach().to(like.scalar_type())) : positions;
}

/// Inputs: q (or qkv), kv (or undefined), query and key rows of the positions. One form for both
/// kinds of call: with kv undefined the first input holds all three.
struct Disentangled {
  Setting s;
  bool together;

  Inputs inputs(const Tensor& first, const Tensor& kv, const Tensor& position_query,
                const Tensor& position_key) const {
    Inputs in = together ? split(first, s) : split(first, kv);
    in.c2p = products(in.q, position_key, s);
    in.p2c = products(in.k, position_query, s);
    return in;
  }

  /// a b of every head, into its columns of `out`, fp32 [rows, width].
  void product_of_heads(const Tensor& a, const Tensor& b, const Tensor& out) const {
    Tensor columns = by_head(out, s);
    at::bmm_out(columns, a, by_head(b, s));
  }

  /// d (x Pᵀ) of [heads, rows, positions] → the gradients of x, added to `dx`, and of P, into
  /// `of_positions` where that is defined. `wide`: x in fp32.
  void through_products(const Tensor& slopes, const Tensor& wide, const Tensor& positions,
                        const Tensor& dx, const Tensor& of_positions) const {
    const Tensor more = at::empty({dx.size(0), dx.size(1)}, slopes.options());
    product_of_heads(slopes, positions.to(at::kFloat), more);
    dx.add_(more);
    if (of_positions.defined()) product_of_heads(slopes.transpose(1, 2), wide, of_positions);
  }

  /// The gradients of the positions' query and key, side by side. Undefined where not wanted.
  std::pair<Tensor, Tensor> through_products(const Inputs& in, const Inputs& d,
                                             const Tensor& position_query,
                                             const Tensor& position_key, const Needs& needs) const {
    const bool of_query = d.p2c.defined() && needs[2], of_key = d.c2p.defined() && needs[3];
    const int64_t width = in.q.size(1);
    const Tensor& some = position_key.defined() ? position_key : position_query;
    const Tensor sums =
        at::empty({some.size(0), (of_query + of_key) * width}, some.options().dtype(at::kFloat));
    const auto half = [&](const Tensor& both, bool wanted, bool is_second) {
      return wanted ? both.narrow(1, is_second ? width : 0, width) : Tensor();
    };
    const Inputs wide = widened(in);
    if (d.c2p.defined())
      through_products(d.c2p, wide.q, position_key, d.q, half(sums, of_key, of_query));
    if (d.p2c.defined())
      through_products(d.p2c, wide.k, position_query, d.k, half(sums, of_query, false));
    const Tensor rounded = sums.to(some.scalar_type());
    return {half(rounded, of_query, false), half(rounded, of_key, of_query)};
  }

  /// Queries and keys in fp32.
  Inputs widened(const Inputs& in) const {
    if (!together) return {in.q.to(at::kFloat), in.k.to(at::kFloat), {}, {}, {}};
    const int64_t width = in.q.size(1);
    const Tensor both = in.q.as_strided({in.q.size(0), 2 * width}, in.q.strides()).to(at::kFloat);
    return {both.narrow(1, 0, width), both.narrow(1, width, width), {}, {}, {}};
  }

  /// Room for the gradients of two products, zeros, where there are such.
  static std::pair<Tensor, Tensor> zeros_like_both(const Tensor& a, const Tensor& b) {
    const auto count = [](const Tensor& x) { return x.defined() ? x.numel() : 0; };
    const Tensor& some = a.defined() ? a : b;
    if (!some.defined()) return {};
    const Tensor all = at::zeros({count(a) + count(b)}, some.options().dtype(at::kFloat));
    const auto like = [&](const Tensor& x, int64_t begin) {
      return x.defined() ? all.narrow(0, begin, x.numel()).view(x.sizes()) : x;
    };
    return {like(a, 0), like(b, count(a))};
  }

  std::vector<Tensor> operator()(const Tensor& dout, const std::vector<Tensor>& saved,
                                 const Needs& needs) const {
    const at::NoGradGuard no_graph;
    const Tensor &first = saved[0], &kv = saved[1], &position_query = saved[5],
                 &position_key = saved[6];
    const Inputs in = inputs(first, kv, position_query, position_key);
    const auto like = [](const Tensor& x) {
      return x.defined() ? at::empty({x.size(0), x.size(1)}, x.options()) : x;
    };
    const Tensor dfirst = like(first), dkv = like(kv);
    Inputs d = together ? split(dfirst, s) : split(dfirst, dkv);
    std::tie(d.c2p, d.p2c) = zeros_like_both(in.c2p, in.p2c);
    backward_of(in, s, {saved[2], saved[3], saved[4]}, dout, d);
    if (!d.c2p.defined() && !d.p2c.defined()) return {dfirst, dkv, {}, {}};
    const auto [dquery, dkey] = through_products(in, d, position_query, position_key, needs);
    return {dfirst, dkv, dquery, dkey};
  }
};

Tensor disentangled(const Tensor& first, const Tensor& kv, const RelativePositions& positions,
                    Setting s) {
  const Disentangled call{[&] {
                            if (positions.query.defined() || positions.key.defined())
                              s.row_of = positions.device_row_of.defined()
                                             ? positions.device_row_of
                                             : on_device(*positions.row_of, first);
                            return s;
                          }(),
                          !kv.defined()};
  const Tensor x = row_major(first.detach()), y = kv.defined() ? row_major(kv.detach()) : Tensor(),
               position_query = prepared(positions.query, first),
               position_key = prepared(positions.key, first);
  const std::vector<Tensor> inputs{first, kv, positions.query, positions.key};
  const bool graph = wants_gradient(inputs);
  Result result;
  {
    const at::NoGradGuard no_graph;
    result = forward_of(call.inputs(x, y, position_query, position_key), call.s, graph);
  }
  if (!graph) return result.out;
  return differentiable(inputs, Computed{result.out,
                                         {x, y, result.out, result.statistics, result.wide,
                                          position_query, position_key},
                                         call});
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

Tensor disentangled_attention(const Tensor& qkv, const RelativePositions& positions,
                              const Packing& packing, const AttentionShape& shape,
                              const Dropout& dropout) {
  return disentangled(qkv, {}, positions,
                      setting_of(qkv, qkv.size(1) / 3, packing, shape, dropout, false));
}

Tensor disentangled_pooled_attention(const Tensor& q, const Tensor& kv,
                                     const RelativePositions& positions, const Packing& packing,
                                     const AttentionShape& shape, const Dropout& dropout) {
  return disentangled(q, kv, positions, setting_of(q, q.size(1), packing, shape, dropout, true));
}

}  // namespace mtlora::backend::device
