// Operations on the channels of activations, on the same terms as ops.h, and the one product that
// keeps fp32 whatever the weight is stored in.
#pragma once

#include "lib/backend/ops.h"

namespace mtlora::backend {

/// x ⊙ scale + shift: x [tokens, width]; scale and shift fp32 [width], shift may be undefined. In
/// x's type; the arithmetic is fp32.
Tensor scale_channels(const Tensor& x, const Tensor& scale, const Tensor& shift);

/// A diagonal block of a map: y[:, out_begin + c] gains x[:, c] · scale[c].
struct Diagonal {
  int64_t out_begin;
  Tensor scale;  ///< fp32 [channels], at most the width of x
};
/// y [tokens, out] with the diagonal blocks times x [tokens, in] added.
Tensor add_diagonals(const Tensor& y, const Tensor& x, const std::vector<Diagonal>& diagonals);

/// W xᵀ, fp32 [out, rows]: of a weight [out, in] of any type as its fp32 values have it, and a few
/// rows x, fp32 [rows, in], of which at least 16 bits count. No gradient.
Tensor exact_product(const Tensor& weight, const Tensor& x);

}  // namespace mtlora::backend
