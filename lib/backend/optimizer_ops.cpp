#include "lib/backend/optimizer_ops.h"

#include "lib/backend/clip.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend {

void fused_adamw(const AdamWState& state, const AdamW& rule, const at::Tensor& skipped) {
  if (state.params.empty()) return;
  at::NoGradGuard no_graph;
  // The fused kernel walks plain memory: it would pair the elements of another layout wrongly.
  for (const at::Tensor& grad : state.grads) TORCH_INTERNAL_ASSERT(grad.is_contiguous());
  if (on_cuda(state.params[0])) return device::fused_adamw(state, rule, skipped);
  at::_foreach_add_(state.steps, 1);
  at::_fused_adamw_(state.params, state.grads, state.exp_avg, state.exp_avg_sq,
                    /*max_exp_avg_sqs=*/{}, state.steps, rule.lr, rule.beta1, rule.beta2,
                    rule.weight_decay, rule.eps, /*amsgrad=*/false, /*maximize=*/false,
                    /*grad_scale=*/{}, skipped.defined() ? std::optional(skipped) : std::nullopt);
  if (skipped.defined()) at::_foreach_add_(state.steps, skipped, /*alpha=*/-1);
}

void put_together(const std::vector<at::Tensor>& parts, const at::Tensor& flat) {
  int64_t count = 0;
  for (const at::Tensor& part : parts) count += part.numel();
  TORCH_INTERNAL_ASSERT(count == flat.numel());
  at::NoGradGuard no_graph;
  if (on_cuda(flat)) return device::put_together(parts, flat);
  int64_t begin = 0;
  for (const at::Tensor& part : parts) {
    flat.narrow(0, begin, part.numel()).copy_(part.view({-1}));
    begin += part.numel();
  }
}

at::Tensor gradient_norm(const std::vector<at::Tensor>& grads) {
  if (grads.empty()) return at::zeros({});
  at::NoGradGuard no_graph;
  if (grads.size() == 1 && on_cuda(grads[0])) return device::gradient_norm(grads[0]);
  if (grads.size() == 1) return at::linalg_vector_norm(grads[0]);
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(grads)));
}

Verdict judge(const std::vector<at::Tensor>& grads, const at::Tensor& loss, double most) {
  at::NoGradGuard no_graph;
  if (grads.size() == 1 && on_cuda(grads[0])) return device::judge(grads[0], loss, most);
  // In double, and rounded once, as where the CPU knows the norm. (A number divided by a tensor
  // would be its reciprocal's multiple, which rounds twice.)
  const at::Tensor norm = gradient_norm(grads).to(at::kDouble), both = norm + loss;
  const at::Tensor factor =  // clip_factor(), without waiting for the norm
      most > 0 ? at::where(norm > most, at::full_like(norm, most) / (norm + clip_epsilon), 1.0)
               : at::ones_like(norm);
  return {at::stack({loss.to(norm.device()), norm}),
          (both - both).ne(0).to(at::kFloat),  // inf - inf is no number
          factor.to(at::kFloat)};
}

void scale_(const std::vector<at::Tensor>& grads, double factor) {
  if (grads.empty()) return;
  at::NoGradGuard no_graph;
  if (grads.size() == 1)
    grads[0].mul_(factor);
  else
    at::_foreach_mul_(grads, factor);
}

void scale_(const std::vector<at::Tensor>& grads, const at::Tensor& factor) {
  if (grads.empty()) return;
  at::NoGradGuard no_graph;
  if (grads.size() == 1)  // which a device does with more of its processors
    grads[0].mul_(factor);
  else
    at::_foreach_mul_(grads, factor);
}

}  // namespace mtlora::backend
