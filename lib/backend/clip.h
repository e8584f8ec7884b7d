// Clipping by the norm of all gradients together, as torch.nn.utils.clip_grad_norm_ does it.
#pragma once

namespace mtlora::backend {

/// Keeps the quotient finite.
constexpr double clip_epsilon = 1e-6;

/// What gradients of this norm are multiplied by so that it is at most `most` (0: any):
/// most / (norm + clip_epsilon) where it is above that, else 1.
constexpr double clip_factor(double norm, double most) {
  return most > 0 && norm > most ? most / (norm + clip_epsilon) : 1;
}

}  // namespace mtlora::backend
