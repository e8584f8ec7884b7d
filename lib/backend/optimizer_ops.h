// Updates of many tensors at once, around LibTorch's fused and foreach operations.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace mtlora::backend {

struct AdamW {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};

/// The tensors of one optimizer group, one entry a parameter, all fp32 and contiguous.
struct AdamWState {
  std::vector<at::Tensor> params, grads, exp_avg, exp_avg_sq;
  std::vector<at::Tensor> steps;  ///< scalars: updates made before this one
};

/// One AdamW update in place (Loshchilov & Hutter 2017, arXiv 1711.05101, in PyTorch's form);
/// counts `steps` up first. Nothing moves or counts where `skipped`, an fp32 scalar on the device
/// of the parameters, is defined and 1.
void fused_adamw(const AdamWState& state, const AdamW& rule, const at::Tensor& skipped = {});

/// Writes all elements of `parts`, fp32 and contiguous, one after the other into `flat` [their
/// number].
void put_together(const std::vector<at::Tensor>& parts, const at::Tensor& flat);

/// The 2-norm of all gradients (contiguous) together, an fp32 scalar on their device.
at::Tensor gradient_norm(const std::vector<at::Tensor>& grads);

/// What is to become of a step, found where its gradients are: the CPU need not know it.
struct Verdict {
  at::Tensor numbers;  ///< fp64 [2]: the loss, the gradients' norm
  at::Tensor skipped;  ///< fp32 scalar: 1 where one of them is not finite, else 0
  at::Tensor factor;   ///< fp32 scalar: clip_factor(norm, most) of clip.h
};
/// Of all gradients (contiguous) together; loss: an fp64 scalar.
Verdict judge(const std::vector<at::Tensor>& grads, const at::Tensor& loss, double most);

/// Multiplies every gradient by `factor` in place.
void scale_(const std::vector<at::Tensor>& grads, double factor);
void scale_(const std::vector<at::Tensor>& grads, const at::Tensor& factor);

}  // namespace mtlora::backend
