#include "lib/backend/plain.h"

#include "lib/backend/dropout.h"
#include "lib/backend/kernel_call.h"
#include "lib/backend/low_rank_parts.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend {
namespace {

bool is_on_device(const Dropout& dropout) {
  return dropout.rows.is_cuda() || dropout.step_key.defined();
}

}  // namespace

Tensor dropout_mask(const Dropout& dropout, int64_t channels) {
  TORCH_INTERNAL_ASSERT(dropout.p > 0 && dropout.p < 1 && dropout.rows.scalar_type() == at::kLong,
                        "a dropout mask wants 0 < p < 1 and int64 rows");
  if (is_on_device(dropout)) return device::mask_factors(dropout, channels);
  const Tensor rows = dropout.rows.contiguous();
  const Tensor mask = at::empty({rows.numel(), channels}, at::kFloat);
  const int64_t* row = rows.data_ptr<int64_t>();
  float* out = mask.data_ptr<float>();
  const uint32_t threshold = mask_threshold(dropout.p);
  const auto scale = static_cast<float>(1 / (1 - dropout.p));
  for (int64_t r = 0; r < rows.numel(); ++r) {
    const MaskRow bits = mask_row(dropout.key, row[r]);
    for (int64_t c = 0; c < channels; ++c)
      *out++ = mask_bits(bits, static_cast<uint32_t>(c)) >= threshold ? scale : 0.0F;
  }
  return mask;
}

namespace plain {

const std::vector<int32_t>& host_offsets(const Packing& packing) {
  TORCH_CHECK(packing.offsets && !packing.offsets->empty(),
              "this operation wants to know on the CPU where the sequences lie");
  return *packing.offsets;
}

Tensor widened(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

Dropout narrowed(const Dropout& dropout, int64_t begin, int64_t count) {
  if (!active(dropout)) return {};
  Dropout part = dropout;
  part.rows = dropout.rows.narrow(0, begin, count);
  return part;
}

Tensor attention_mask(const Dropout& dropout, int64_t heads, int64_t keys) {
  if (is_on_device(dropout)) return device::mask_factors(dropout, keys, heads);
  std::vector<Tensor> masks;
  for (int64_t h = 0; h < heads; ++h)
    masks.push_back(dropout_mask({dropout.p, head_key(dropout.key, h), dropout.rows}, keys));
  return at::stack(masks);
}

Tensor by_head(const Tensor& x, int64_t heads) {
  return widened(x).reshape({x.size(0), heads, x.size(1) / heads}).transpose(0, 1);
}

Tensor weighted_values(const Tensor& scores, const Tensor& v, const Dropout& dropout) {
  const int64_t heads = scores.size(0);
  Tensor probabilities = at::softmax(scores, -1);
  if (active(dropout)) probabilities = probabilities * attention_mask(dropout, heads, v.size(0));
  const Tensor out = at::matmul(probabilities, by_head(v, heads));  // [heads, queries, head]
  return out.transpose(0, 1).reshape({scores.size(1), v.size(1)}).to(v.scalar_type());
}

namespace {

/// One sequence: q [queries, width], k and v [keys, width].
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape,
              const Dropout& dropout) {
  const Tensor products =
      at::matmul(by_head(q, shape.heads), by_head(k, shape.heads).transpose(1, 2));
  return weighted_values(products * shape.scale, v, dropout);
}

}  // namespace

Tensor self_attention(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
                      const Dropout& dropout) {
  const std::vector<int32_t>& offsets = host_offsets(packing);
  std::vector<Tensor> outputs;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t begin = offsets[i], count = offsets[i + 1] - begin;
    const auto parts = qkv.narrow(0, begin, count).chunk(3, 1);
    outputs.push_back(attend(parts[0], parts[1], parts[2], shape, narrowed(dropout, begin, count)));
  }
  const int64_t filler = qkv.size(0) - offsets.back();
  outputs.push_back(at::zeros({filler, qkv.size(1) / 3}, qkv.options()));
  return at::cat(outputs);
}

Tensor pooled_attention(const Tensor& q, const Tensor& kv, const Packing& packing,
                        const AttentionShape& shape, const Dropout& dropout) {
  const std::vector<int32_t>& offsets = host_offsets(packing);
  std::vector<Tensor> outputs;
  for (int64_t i = 0; i < q.size(0); ++i) {
    const int64_t begin = offsets[static_cast<size_t>(i)];
    const int64_t count = offsets[static_cast<size_t>(i) + 1] - begin;
    const auto parts = kv.narrow(0, begin, count).chunk(2, 1);
    outputs.push_back(
        attend(q.narrow(0, i, 1), parts[0], parts[1], shape, narrowed(dropout, i, 1)));
  }
  return at::cat(outputs);
}

Tensor dropout(const Tensor& x, const Dropout& dropout) {
  if (!active(dropout)) return x;
  return (widened(x) * dropout_mask(dropout, x.size(1))).to(x.scalar_type());
}

Tensor layer_norm(const Tensor& x, const Affine& affine) {
  const Tensor wide = widened(x);
  const auto type = wide.scalar_type();
  return at::layer_norm(wide, {x.size(1)}, affine.gamma.to(type), affine.beta.to(type), affine.eps)
      .to(x.scalar_type());
}

Branches dropout_add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                          const Dropout& dropout) {
  const Tensor sum = widened(residual) + plain::dropout(widened(x), dropout);
  const Tensor y = plain::layer_norm(sum, affine).to(x.scalar_type());
  return {y, y};
}

Tensor gelu(const Tensor& x) {
  return at::gelu(x);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto type = x.scalar_type();
  if (!bias.defined()) return at::linear(x, weight.to(type));
  return at::linear(x, weight.to(type), bias.to(type));
}

Tensor linear_low_rank(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const LowRank& low_rank) {
  const auto type = x.scalar_type();
  const Tensor y = plain::linear(x, weight, bias);
  const Tensor low = at::linear(plain::dropout(x, low_rank.dropout),
                                joined(low_rank.a).to(type));  // [tokens, R]
  Tensor change = at::zeros_like(y);
  for (const LowRank::Part& part : low_rank.parts) {
    const Tensor product = at::linear(low.narrow(1, part.r_begin, part.r_end - part.r_begin),
                                      (part.b * low_rank.scale).to(type));
    const int64_t after = y.size(1) - part.out_end;
    change = change + at::constant_pad_nd(product, {part.out_begin, after});
  }
  return y + change;
}

}  // namespace plain
}  // namespace mtlora::backend
