// Norm, verdict and AdamW on a CUDA device; the arithmetic is in cuda/optimizer.cu.
#include <algorithm>

#include "lib/backend/cuda_call.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend::device {
namespace {

/// Kernels walk it as plain memory.
float* plain_floats(const Tensor& x) {
  TORCH_INTERNAL_ASSERT(is_reached(x) && x.is_contiguous() && x.scalar_type() == at::kFloat);
  return x.data_ptr<float>();
}

cuda::AdamWTensors::One one_of(const AdamWState& state, size_t i) {
  const int64_t count = state.params[i].numel();
  for (const Tensor& other : {state.grads[i], state.exp_avg[i], state.exp_avg_sq[i]})
    TORCH_INTERNAL_ASSERT(other.numel() == count);
  return {plain_floats(state.params[i]),
          plain_floats(state.exp_avg[i]),
          plain_floats(state.exp_avg_sq[i]),
          plain_floats(state.grads[i]),
          plain_floats(state.steps[i]),
          count,
          0};
}

}  // namespace

void fused_adamw(const AdamWState& state, const AdamW& rule, const Tensor& skipped) {
  const float* none_if = skipped.defined() ? plain_floats(skipped) : nullptr;
  for (size_t i = 0; i < state.params.size();) {
    cuda::AdamWTensors tensors{};
    const size_t end = std::min(state.params.size(), i + cuda::AdamWTensors::kMost);
    for (; i < end; ++i) tensors.one[tensors.count++] = one_of(state, i);
    cuda::adamw(tensors, {rule.lr, rule.beta1, rule.beta2, rule.eps, rule.weight_decay}, none_if,
                cuda::current_stream());
  }
}

void put_together(const std::vector<Tensor>& parts, const Tensor& flat) {
  float* to = plain_floats(flat);
  for (size_t i = 0; i < parts.size();) {
    cuda::Pieces pieces{};
    const size_t end = std::min(parts.size(), i + cuda::Pieces::kMost);
    for (; i < end; ++i) {
      pieces.one[pieces.count++] = {plain_floats(parts[i]), to, parts[i].numel(), 0};
      to += parts[i].numel();
    }
    cuda::put_together(pieces, cuda::current_stream());
  }
}

Verdict judge(const Tensor& gradient, const Tensor& loss, double most) {
  const int blocks = cuda::square_blocks(gradient.numel());
  const Tensor partials = at::empty({blocks}, gradient.options());
  cuda::sum_squares(plain_floats(gradient), gradient.numel(), partials.data_ptr<float>(),
                    cuda::current_stream());
  const auto doubles = gradient.options().dtype(at::kDouble);
  const Tensor beside = loss.to(doubles);
  const Verdict verdict{at::empty({2}, doubles), at::empty({}, gradient.options()),
                        at::empty({}, gradient.options())};
  cuda::judge({partials.data_ptr<float>(), blocks, beside.data_ptr<double>(), most,
               verdict.numbers.data_ptr<double>(), verdict.skipped.data_ptr<float>(),
               verdict.factor.data_ptr<float>()},
              cuda::current_stream());
  return verdict;
}

Tensor gradient_norm(const Tensor& gradient) {
  const Tensor no_loss = at::zeros({}, gradient.options().dtype(at::kDouble));
  return judge(gradient, no_loss, /*most=*/0).numbers[1].to(at::kFloat);
}

}  // namespace mtlora::backend::device
