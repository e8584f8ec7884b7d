// Matrix products of tensors through our kernels. For the sources of this folder only.
#pragma once

#include "lib/backend/weight.h"

namespace mtlora::backend {

/// b [depth, columns] (any strides) for products in `type`; fp32 is rounded to bf16 where asked.
PackedMatrix pack(const at::Tensor& b, at::ScalarType type);

/// a [rows, depth] · b + bias (fp32 or undefined), in a's type or as `type` says (fp32).
at::Tensor gemm(const at::Tensor& a, const PackedMatrix& b, const at::Tensor& bias = {});
at::Tensor gemm_float(const at::Tensor& a, const PackedMatrix& b);

/// c += a · b; c [rows, columns] of a's type, its columns contiguous.
void gemm_add(const at::Tensor& a, const PackedMatrix& b, const at::Tensor& c);

}  // namespace mtlora::backend
