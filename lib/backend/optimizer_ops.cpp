#include "lib/backend/optimizer_ops.h"

namespace mtlora::backend {

void fused_adamw(const AdamWState& state, const AdamW& rule) {
  if (state.params.empty()) return;
  at::NoGradGuard no_graph;
  // The fused kernel walks plain memory: it would pair the elements of another layout wrongly.
  for (const at::Tensor& grad : state.grads) TORCH_INTERNAL_ASSERT(grad.is_contiguous());
  at::_foreach_add_(state.steps, 1);
  at::_fused_adamw_(state.params, state.grads, state.exp_avg, state.exp_avg_sq,
                    /*max_exp_avg_sqs=*/{}, state.steps, rule.lr, rule.beta1, rule.beta2,
                    rule.weight_decay, rule.eps, /*amsgrad=*/false, /*maximize=*/false);
}

double gradient_norm(const std::vector<at::Tensor>& grads) {
  if (grads.empty()) return 0;
  at::NoGradGuard no_graph;
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(grads))).item<double>();
}

void scale_(const std::vector<at::Tensor>& grads, double factor) {
  if (grads.empty()) return;
  at::NoGradGuard no_graph;
  at::_foreach_mul_(grads, factor);
}

}  // namespace mtlora::backend
