#include "lib/backend/plain_decoder.h"

#include <limits>

#include "lib/backend/kernel_call.h"
#include "lib/backend/plain.h"

namespace mtlora::backend::plain {
namespace {

/// [kv_heads, rows, head] with every head repeated for the query heads that read it.
Tensor by_query_head(const Tensor& x, const CausalShape& shape) {
  return by_head(x, shape.kv_heads).repeat_interleave(shape.heads / shape.kv_heads, 0);
}

/// One sequence: qkv [tokens, (heads + 2 · kv_heads) · head].
Tensor attend_causally(const Tensor& qkv, const CausalShape& shape, const Dropout& dropout) {
  const int64_t tokens = qkv.size(0), head = qkv.size(1) / (shape.heads + 2 * shape.kv_heads);
  const int64_t width = shape.heads * head, kv_width = shape.kv_heads * head;
  const Tensor q = by_head(qkv.narrow(1, 0, width), shape.heads);
  const Tensor k = by_query_head(qkv.narrow(1, width, kv_width), shape);
  const Tensor v = by_query_head(qkv.narrow(1, width + kv_width, kv_width), shape);
  const Tensor future = at::ones({tokens, tokens}, qkv.options().dtype(at::kBool)).triu(1);
  const Tensor scores = at::matmul(q, k.transpose(1, 2)) * shape.scale;
  Tensor probabilities =
      at::softmax(scores.masked_fill(future, -std::numeric_limits<double>::infinity()), -1);
  if (active(dropout)) probabilities = probabilities * attention_mask(dropout, shape.heads, tokens);
  return at::matmul(probabilities, v).transpose(0, 1).reshape({tokens, width});
}

Tensor sum_of(const Tensor& x, const Tensor& residual, const Dropout& dropout) {
  return (widened(residual) + plain::dropout(widened(x), dropout)).to(x.scalar_type());
}

/// The keys and values of one row, [keys, 2 · kv_heads · head].
Tensor keys_of_row(const DecodeKeys& keys, int64_t row) {
  const auto prompt = static_cast<size_t>(keys.prompt_of_row[row]);
  const int64_t begin = (*keys.prompt_offsets)[prompt], end = (*keys.prompt_offsets)[prompt + 1];
  std::vector<Tensor> parts{keys.prompt_kv.narrow(0, begin, end - begin)};
  for (int64_t t = 0; t < keys.steps; ++t)
    parts.push_back(
        keys.step_kv.select(0, t).narrow(0, keys.ancestry[row * keys.max_steps + t], 1));
  return at::cat(parts);
}

}  // namespace

Tensor causal_attention(const Tensor& qkv, const Packing& packing, const CausalShape& shape,
                        const Dropout& dropout) {
  const std::vector<int32_t>& offsets = host_offsets(packing);
  std::vector<Tensor> outputs;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t begin = offsets[i], count = offsets[i + 1] - begin;
    outputs.push_back(
        attend_causally(qkv.narrow(0, begin, count), shape, narrowed(dropout, begin, count))
            .to(qkv.scalar_type()));
  }
  const int64_t width = qkv.size(1) / (shape.heads + 2 * shape.kv_heads) * shape.heads;
  outputs.push_back(at::zeros({qkv.size(0) - offsets.back(), width}, qkv.options()));
  return at::cat(outputs);
}

Tensor rotate(const Tensor& qkv, const Tensor& positions, const Rotary& rotary,
              const CausalShape& shape) {
  const int64_t tokens = qkv.size(0), rotated = shape.heads + shape.kv_heads;
  const int64_t head = qkv.size(1) / (rotated + shape.kv_heads);
  const Tensor qk = widened(qkv.narrow(1, 0, rotated * head)).reshape({tokens, rotated, 2, -1});
  const auto angles = [&](const Tensor& table) {
    return table.index_select(0, positions).to(qk.scalar_type()).unsqueeze(1);
  };
  const Tensor cos = angles(rotary.cos), sin = angles(rotary.sin);  // [tokens, 1, head / 2]
  const Tensor low = qk.select(2, 0), high = qk.select(2, 1);
  const Tensor turned = at::stack({low * cos - high * sin, high * cos + low * sin}, 2);
  return at::cat({turned.reshape({tokens, rotated * head}).to(qkv.scalar_type()),
                  qkv.narrow(1, rotated * head, shape.kv_heads * head)},
                 1);
}

Tensor rms_norm(const Tensor& x, const Tensor& gamma, double eps) {
  const Tensor wide = widened(x);
  const Tensor rstd = at::rsqrt(wide.square().mean(-1, true) + eps);
  return (wide * rstd * gamma.to(wide.scalar_type())).to(x.scalar_type());
}

Normed add_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& gamma, double eps,
                    const Dropout& dropout) {
  const Tensor sum = sum_of(x, residual, dropout);
  return {sum, plain::rms_norm(sum, gamma, eps)};
}

Normed add_layer_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                      const Dropout& dropout) {
  const Tensor sum = sum_of(x, residual, dropout);
  return {sum, plain::layer_norm(sum, affine)};
}

Tensor swiglu(const Tensor& gate_up) {
  const auto parts = widened(gate_up).chunk(2, 1);
  return (at::silu(parts[0]) * parts[1]).to(gate_up.scalar_type());
}

Tensor gelu_tanh(const Tensor& x) {
  return at::gelu(x, "tanh");
}

Tensor decode_attention(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape) {
  const at::NoGradGuard none;
  const int64_t kv_width = q.size(1) / shape.heads * shape.kv_heads;
  std::vector<Tensor> outputs;
  for (int64_t r = 0; r < q.size(0); ++r) {
    const Tensor kv = keys_of_row(keys, r);
    const Tensor k = by_query_head(kv.narrow(1, 0, kv_width), shape);
    const Tensor v = by_query_head(kv.narrow(1, kv_width, kv_width), shape);
    const Tensor scores =
        at::matmul(by_head(q.narrow(0, r, 1), shape.heads), k.transpose(1, 2)) * shape.scale;
    outputs.push_back(at::matmul(at::softmax(scores, -1), v).reshape({1, q.size(1)}));
  }
  return at::cat(outputs).to(q.scalar_type());
}

}  // namespace mtlora::backend::plain
