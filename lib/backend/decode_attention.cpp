// Attention of one decoding step; the arithmetic is in cpu/decoder_attention.h.
#include <ATen/ATen.h>

#include <algorithm>

#include "lib/backend/attention_call.h"
#include "lib/backend/cpu/decoder_kernels.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/plain_decoder.h"

namespace mtlora::backend {
namespace {

/// How many rows from `row` on share its prompt, at most decode_rows.
int64_t rows_together(const DecodeKeys& keys, int64_t row, int64_t rows) {
  const int64_t last = std::min(rows, row + cpu::decode_rows);
  int64_t end = row + 1;
  while (end < last && keys.prompt_of_row[end] == keys.prompt_of_row[row]) ++end;
  return end - row;
}

template <class T>
void attend(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape, const Tensor& out) {
  const cpu::HeadGroups heads{shape.heads, shape.kv_heads, q.size(1) / shape.heads};
  const std::vector<int32_t>& offsets = *keys.prompt_offsets;
  const Tensor steps = keys.step_kv;
  float* memory = scratch(cpu::decode_scratch(longest_of(offsets), keys.steps, heads));
  for (int64_t row = 0, count = 0; row < q.size(0); row += count) {
    count = rows_together(keys, row, q.size(0));
    const auto prompt = static_cast<size_t>(keys.prompt_of_row[row]);
    cpu::decoder_kernels<T>().decode(
        {rows<const T>(q).from(row), rows<const T>(keys.prompt_kv).from(offsets[prompt]),
         offsets[prompt + 1] - offsets[prompt], static_cast<const T*>(steps.data_ptr()),
         steps.stride(0), steps.stride(1), keys.ancestry + row * keys.max_steps, keys.max_steps,
         keys.steps, rows<T>(out).from(row), count, heads, static_cast<float>(shape.scale),
         memory});
  }
}

bool takes(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape) {
  return fast_attention(q, q.size(1) / shape.heads) && keys.step_kv.stride(2) == 1 &&
         keys.prompt_kv.stride(1) == 1;
}

}  // namespace

Tensor decode_attention(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape) {
  TORCH_INTERNAL_ASSERT(
      shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0 && q.size(1) % shape.heads == 0 &&
          keys.prompt_kv.size(1) == 2 * q.size(1) / shape.heads * shape.kv_heads &&
          keys.step_kv.size(2) == keys.prompt_kv.size(1) &&
          keys.prompt_kv.scalar_type() == q.scalar_type() &&
          keys.step_kv.scalar_type() == q.scalar_type(),
      "the keys and values do not fit the queries");
  TORCH_INTERNAL_ASSERT(
      keys.steps >= 1 && keys.steps <= keys.max_steps && keys.steps <= keys.step_kv.size(0),
      "decoding wants this step's keys and no more than there are");
  const at::NoGradGuard none;
  if (device::takes_decode(q, keys, shape)) return device::decode_attention(q, keys, shape);
  if (!takes(q, keys, shape)) return plain::decode_attention(q, keys, shape);
  const Tensor queries = row_major(q), out = at::empty({q.size(0), q.size(1)}, q.options());
  with_element(q, [&](auto element) { attend<decltype(element)>(queries, keys, shape, out); });
  return out;
}

}  // namespace mtlora::backend
