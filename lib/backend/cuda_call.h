// Between tensors and the CUDA kernels. For the sources of this folder only.
#pragma once

#include "lib/backend/cuda/kernels.h"
#include "lib/backend/cuda/runtime.h"
#include "lib/backend/dropout.h"
#include "lib/backend/kernel_call.h"

namespace mtlora::backend::device {

inline cuda::Element element_of(const Tensor& x) {
  return x.scalar_type() == at::kFloat ? cuda::Element::f32 : cuda::Element::bf16;
}

/// Whether kernels can read and write it.
inline bool is_reached(const Tensor& x) {
  return x.is_cuda() || cuda::kernels_on_host();
}

/// Rows of a matrix whose columns are contiguous; none of an undefined tensor.
inline cuda::Matrix matrix(const Tensor& x) {
  if (!x.defined()) return {};
  TORCH_INTERNAL_ASSERT(x.dim() == 2 && is_reached(x) && (x.stride(1) == 1 || x.size(1) <= 1));
  return {x.data_ptr(), x.stride(0)};
}

/// a b, not rounded to their type: fp32. Matrices, or as many of each in one tensor.
inline Tensor wide_product(const Tensor& a, const Tensor& b) {
  const bool is_one = a.dim() == 2;
  if (a.scalar_type() == at::kFloat) return is_one ? at::mm(a, b) : at::bmm(a, b);
  // LibTorch has the product with another type of result on a device alone.
  if (!a.is_cuda()) return wide_product(a.to(at::kFloat), b.to(at::kFloat));
  return is_one ? at::mm(a, b, at::kFloat) : at::bmm(a, b, at::kFloat);
}

/// The dropout with its rows where x is.
inline Dropout beside(Dropout dropout, const Tensor& x) {
  if (active(dropout)) dropout.rows = dropout.rows.to(x.device());
  return dropout;
}

/// The kernels' form of a dropout of `count` rows; `dropout` must outlive the call.
inline cuda::Mask device_mask(const Dropout& dropout, int64_t count) {
  if (!active(dropout)) return {};
  TORCH_INTERNAL_ASSERT(dropout.p < 1 && is_reached(dropout.rows) &&
                            dropout.rows.scalar_type() == at::kLong &&
                            dropout.rows.is_contiguous() && dropout.rows.numel() == count,
                        "dropout wants p < 1 and one contiguous int64 identity a row");
  cuda::Mask mask;
  mask.rows = dropout.rows.data_ptr<int64_t>();
  mask.key = dropout.key;
  if (dropout.step_key.defined()) {
    mask.step_key = reinterpret_cast<const uint64_t*>(dropout.step_key.data_ptr<int64_t>());
    mask.key = dropout.site;
  }
  mask.threshold = mask_threshold(dropout.p);
  mask.scale = static_cast<float>(1 / (1 - dropout.p));
  return mask;
}

}  // namespace mtlora::backend::device
