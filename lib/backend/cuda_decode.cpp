// Attention of one decoding step on a CUDA device; the arithmetic is in cuda/decode_attention.cu.
#include "lib/backend/attention_call.h"
#include "lib/backend/cuda_call.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend {

Tensor decode_tables(const DecodeKeys& keys, int64_t rows, at::Device device) {
  std::vector<int32_t> all = *keys.prompt_offsets;
  all.insert(all.end(), keys.prompt_of_row, keys.prompt_of_row + rows);
  all.insert(all.end(), keys.ancestry, keys.ancestry + rows * keys.max_steps);
  return at::tensor(all, at::kInt).to(device);
}

namespace device {

bool takes_decode(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape) {
  return on_cuda(q) && q.size(1) / shape.heads <= cuda::kWidestHead &&
         keys.step_kv.stride(2) == 1 && keys.prompt_kv.stride(1) == 1 &&
         longest_of(*keys.prompt_offsets) + keys.steps <= cuda::DecodeCall::kMostKeys;
}

Tensor decode_attention(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape) {
  const Tensor queries = row_major(q), out = at::empty({q.size(0), q.size(1)}, q.options());
  const Tensor tables = keys.device_tables.defined() ? keys.device_tables
                                                     : decode_tables(keys, q.size(0), q.device());
  const std::vector<int32_t>& offsets = *keys.prompt_offsets;
  const auto* table = tables.data_ptr<int32_t>();
  cuda::DecodeCall call{};
  call.element = element_of(q);
  call.q = matrix(queries);
  call.out = matrix(out);
  call.prompt_kv = matrix(keys.prompt_kv);
  call.step_kv = keys.step_kv.data_ptr();
  call.step_stride = keys.step_kv.stride(0);
  call.step_row_stride = keys.step_kv.stride(1);
  call.prompt_offsets = table;
  call.prompt_of_row = table + offsets.size();
  call.ancestry = call.prompt_of_row + q.size(0);
  call.rows = q.size(0);
  call.heads = shape.heads;
  call.kv_heads = shape.kv_heads;
  call.head = q.size(1) / shape.heads;
  call.max_steps = keys.max_steps;
  call.steps = keys.steps;
  call.longest = longest_of(offsets);
  call.scale = static_cast<float>(shape.scale);
  cuda::decode_attention(call, cuda::current_stream());
  return out;
}

}  // namespace device
}  // namespace mtlora::backend
