// Where Deep LoRA starts: orthogonal factors, and the outer factors of its compressed form.
// Yaras et al. 2024, arXiv:2406.04112; as the authors' code cjyaras/deep-lora-transformers.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace mtlora {

using torch::Tensor;

/// A random [rows, columns] with orthonormal columns (rows, where these are fewer), uniform among
/// all such; fp32, a function of the key.
Tensor orthogonal(int64_t rows, int64_t columns, uint64_t key);

/// left [in, rank], right [out, rank] of ΔW = right · core · leftᵀ.
struct OuterFactors {
  Tensor left, right;
};

/// The outer factors that the full-width net W3 W2 W1 (all factors orthogonal, of width max(in,
/// out)) would stay within: `gradient` [out, in] of the loss by the weight, `product` [out, in] =
/// W3 W2 W1 without the factors' sizes, rank even and at most min(in, out). In double. With the
/// leading rank / 2 singular vectors U [out], V [in] of the gradient,
///   in ≤ out: right = a basis of span{U, product V},  left = productᵀ right; else the same turned.
OuterFactors compressed_start(const Tensor& gradient, const Tensor& product, int64_t rank);

}  // namespace mtlora
