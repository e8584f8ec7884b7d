// The small matrices of LoRA-RITE (lib/optim/lora_rite.cpp): bases of factors, and roots of
// covariances. Everything is double.
#pragma once

#include <ATen/ATen.h>

namespace mtlora::rite {

using at::Tensor;

/// A factor F [n, r], n >= r, as basis · rotation.
struct Decomposed {
  Tensor basis;     ///< U [n, r], orthonormal columns
  Tensor rotation;  ///< K [r, r]
  Tensor inverse;   ///< K⁺, the pseudo-inverse: 0 where F is 0
};

/// `epsilon` is the rounding of the numbers of F: what of K is below r times that counts as 0.
Decomposed decomposed(const Tensor& factor, double epsilon);

/// P V Pᵀ, exactly symmetric.
Tensor transported(const Tensor& v, const Tensor& p);

/// What of V may be lost in V' = P V Pᵀ: min(max_i (λ_i(V) - λ_i(V'))₊, (tr V - tr V')₊), a scalar.
Tensor escaped_mass(const Tensor& v, const Tensor& moved);

/// (V + ρI)^(-1/2) as Q diag(1 / (√(λ + ρ) + ε)) Qᵀ; negative λ count as 0. ρ is a scalar tensor.
Tensor inverse_root(const Tensor& v, const Tensor& rho, double epsilon);

}  // namespace mtlora::rite
