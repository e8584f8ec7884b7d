// Disentangled attention over packed sequences on a CUDA device: scores with positions are products
// with all their rows, of which the kernels (cuda/attention_*.cu) take an entry for each pair.
#include <tuple>
#include <utility>

#include "lib/backend/cuda_attention_call.h"

namespace mtlora::backend::device {

using namespace attention;

namespace {

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

/// Two matrices of one shape, either of which may be undefined: of queries and of keys.
struct Both {
  Tensor left, right;
};

/// Both as one matrix, where they are neighbouring columns of one; else undefined.
Tensor as_one(const Both& x) {
  if (!x.left.defined() || !x.right.defined() || !x.left.is_alias_of(x.right) ||
      x.left.sizes() != x.right.sizes() || x.left.strides() != x.right.strides() ||
      x.right.storage_offset() != x.left.storage_offset() + x.left.size(1))
    return {};
  return x.left.as_strided({x.left.size(0), 2 * x.left.size(1)}, x.left.strides());
}

Both halves(const Tensor& x) {
  const int64_t width = x.size(1) / 2;
  return {x.narrow(1, 0, width), x.narrow(1, width, width)};
}

/// In fp32; neighbours by one conversion.
Both widened(const Both& x) {
  if (const Tensor one = as_one(x); one.defined()) return halves(one.to(at::kFloat));
  const auto wide = [](const Tensor& t) { return t.defined() ? t.to(at::kFloat) : t; };
  return {wide(x.left), wide(x.right)};
}

/// Scores with positions that are kept for the backward pass: those of at most so many numbers (16
/// MiB). Larger ones, undefined here, are computed again.
struct Kept {
  static constexpr int64_t kMost = int64_t{4} << 20;
  static Tensor if_small(const Tensor& scores) {
    return scores.defined() && scores.numel() <= kMost ? scores : Tensor();
  }
  Tensor c2p, p2c;
};

/// Inputs: q (or qkv), kv (or undefined), query and key rows of the positions. One form for both
/// kinds of call: with kv undefined the first input holds all three.
struct Disentangled {
  Setting s;
  bool together;

  Inputs inputs(const Tensor& first, const Tensor& kv, const Tensor& position_query,
                const Tensor& position_key, const Kept& kept = {}) const {
    Inputs in = together ? split(first, s) : split(first, kv);
    in.c2p = kept.c2p.defined() ? kept.c2p : products(in.q, position_key, s);
    in.p2c = kept.p2c.defined() ? kept.p2c : products(in.k, position_query, s);
    return in;
  }

  /// a b of every head, into its columns of `out`, fp32 [rows, width].
  void product_of_heads(const Tensor& a, const Tensor& b, const Tensor& out) const {
    Tensor columns = by_head(out, s);
    at::bmm_out(columns, a, by_head(b, s));
  }

  /// The gradients of q and k by their scores with positions, added to those they have.
  void add_products(const Inputs& d, const Both& positions) const {
    const Tensor both = d.c2p.defined() && d.p2c.defined() ? as_one({d.q, d.k}) : Tensor();
    if (both.defined()) {
      const Tensor more = at::empty(both.sizes(), d.c2p.options());
      const Both of = halves(more);
      product_of_heads(d.c2p, positions.right, of.left);
      product_of_heads(d.p2c, positions.left, of.right);
      both.add_(more);
      return;
    }
    const auto add = [&](const Tensor& slopes, const Tensor& other, const Tensor& dx) {
      if (!slopes.defined()) return;
      const Tensor more = at::empty({dx.size(0), dx.size(1)}, slopes.options());
      product_of_heads(slopes, other, more);
      dx.add_(more);
    };
    add(d.c2p, positions.right, d.q);
    add(d.p2c, positions.left, d.k);
  }

  /// The gradients of the positions' query and key, neighbours where both are. Undefined where not
  /// wanted. What the scores' gradients give q and k is added to theirs.
  Both through_products(const Inputs& in, const Inputs& d, const Both& positions,
                        const Needs& needs) const {
    add_products(d, widened(positions));
    const bool of_query = d.p2c.defined() && needs[2], of_key = d.c2p.defined() && needs[3];
    if (!of_query && !of_key) return {};
    const Tensor& some = positions.right.defined() ? positions.right : positions.left;
    const int64_t width = some.size(1);
    const Tensor sums =
        at::empty({some.size(0), (of_query + of_key) * width}, some.options().dtype(at::kFloat));
    const auto of = [&](const Tensor& all) -> Both {
      return {of_query ? all.narrow(1, 0, width) : Tensor(),
              of_key ? all.narrow(1, of_query ? width : 0, width) : Tensor()};
    };
    const Both wide = widened({in.q, in.k}), into = of(sums);
    if (of_key) product_of_heads(d.c2p.transpose(1, 2), wide.left, into.right);
    if (of_query) product_of_heads(d.p2c.transpose(1, 2), wide.right, into.left);
    return of(sums.to(some.scalar_type()));
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
    const Inputs in = inputs(first, kv, position_query, position_key, {saved[7], saved[8]});
    const auto like = [](const Tensor& x) {
      return x.defined() ? at::empty({x.size(0), x.size(1)}, x.options()) : x;
    };
    const Tensor dfirst = like(first), dkv = like(kv);
    Inputs d = together ? split(dfirst, s) : split(dfirst, dkv);
    std::tie(d.c2p, d.p2c) = zeros_like_both(in.c2p, in.p2c);
    backward_of(in, s, {saved[2], saved[3], saved[4]}, dout, d);
    if (!d.c2p.defined() && !d.p2c.defined()) return {dfirst, dkv, {}, {}};
    const Both of_positions = through_products(in, d, {position_query, position_key}, needs);
    return {dfirst, dkv, of_positions.left, of_positions.right};
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
  Kept kept;
  {
    const at::NoGradGuard no_graph;
    const Inputs in = call.inputs(x, y, position_query, position_key);
    result = forward_of(in, call.s, graph);
    kept = {Kept::if_small(in.c2p), Kept::if_small(in.p2c)};
  }
  if (!graph) return result.out;
  return differentiable(inputs, Computed{result.out,
                                         {x, y, result.out, result.statistics, result.wide,
                                          position_query, position_key, kept.c2p, kept.p2c},
                                         call});
}

}  // namespace

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
