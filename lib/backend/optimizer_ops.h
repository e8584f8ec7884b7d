// Updates of many tensors at once, around LibTorch's fused and foreach operations.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace mtlora::backend {

struct AdamW {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};

/// The tensors of one optimizer group, one entry a parameter, all fp32.
struct AdamWState {
  std::vector<at::Tensor> params, grads, exp_avg, exp_avg_sq;
  std::vector<at::Tensor> steps;  ///< scalars: updates made before this one
};

/// One AdamW update in place (Loshchilov & Hutter 2017, arXiv 1711.05101, in PyTorch's form);
/// counts `steps` up first.
void fused_adamw(const AdamWState& state, const AdamW& rule);

/// The 2-norm of all gradients together; waits for the device.
double gradient_norm(const std::vector<at::Tensor>& grads);

/// Multiplies every gradient by `factor` in place.
void scale_(const std::vector<at::Tensor>& grads, double factor);

}  // namespace mtlora::backend
