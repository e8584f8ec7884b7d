// What attention and disentangled attention on a CUDA device share. For the sources of this folder
// only.
#pragma once

#include <vector>

#include "lib/backend/cuda_call.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend::device::attention {

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

/// Of AttentionShape's heads, not causal.
Setting setting_of(const Tensor& q, int64_t width, const Packing& packing,
                   const AttentionShape& shape, const Dropout& dropout, bool pooled);

Tensor on_device(const std::vector<int32_t>& values, const Tensor& like);
/// Where the sequences lie, on the device of `like`.
Tensor offsets_of(const Packing& packing, const Tensor& like);

/// q, k and v as columns of one matrix, or of q and of k | v.
Inputs split(const Tensor& qkv, const Setting& s);
Inputs split(const Tensor& q, const Tensor& kv);

/// `graph`: a backward pass may follow.
Result forward_of(const Inputs& in, const Setting& s, bool graph);

/// Into dq, dk and dv; dc2p and dp2c are fp32, zeros where wanted, else undefined.
void backward_of(const Inputs& in, const Setting& s, const Result& result, const Tensor& dout,
                 const Inputs& gradients);

}  // namespace mtlora::backend::device::attention
