#include "lib/backend/kernel_call.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "lib/backend/dropout.h"

namespace mtlora::backend {
namespace {

/// What a node keeps besides tensors.
struct Kept : torch::CustomClassHolder {
  decltype(ComputedTogether::backward) backward;
  std::vector<int64_t> places;  // of the node's inputs among those of the operation
  size_t inputs = 0;            // of the operation
};

struct Operation : torch::autograd::Function<Operation> {
  // The node's inputs are only those that require a gradient.
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                at::TensorList, const ComputedTogether& computed,
                                                const c10::intrusive_ptr<Kept>& kept) {
    context->save_for_backward(computed.saved);
    context->set_materialize_grads(false);
    context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    return computed.outputs;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "these operations have no second derivative");
    const auto kept =
        c10::static_intrusive_pointer_cast<Kept>(context->saved_data["kept"].toCapsule());
    torch::autograd::variable_list result(kept->places.size() + 2);
    std::vector<Tensor> given;
    for (const Tensor& gradient : gradients)
      given.push_back(gradient.defined() ? row_major(gradient) : gradient);
    if (std::none_of(given.begin(), given.end(), [](const Tensor& g) { return g.defined(); }))
      return result;
    Needs needs(kept->inputs, false);
    for (size_t i = 0; i < kept->places.size(); ++i)
      needs[static_cast<size_t>(kept->places[i])] = context->needs_input_grad(i);
    auto all = kept->backward(given, context->get_saved_variables(), needs);
    for (size_t i = 0; i < kept->places.size(); ++i)
      result[i] = std::move(all[static_cast<size_t>(kept->places[i])]);
    return result;
  }
};

}  // namespace

cpu::Mask mask_of(const Dropout& dropout, int64_t count) {
  if (!active(dropout)) return {};
  TORCH_INTERNAL_ASSERT(dropout.p < 1 && dropout.rows.scalar_type() == at::kLong &&
                            dropout.rows.is_contiguous() && dropout.rows.numel() == count,
                        "dropout wants p < 1 and one contiguous int64 identity a row");
  return {dropout.key, dropout.rows.data_ptr<int64_t>(), mask_threshold(dropout.p),
          static_cast<float>(1 / (1 - dropout.p))};
}

float* scratch(int64_t count) {
  // Raw memory: what is in it is never read before it is written.
  thread_local std::unique_ptr<float[]> memory;
  thread_local int64_t size = 0;
  if (count > size) {
    memory.reset();
    memory = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(count));
    size = count;
  }
  return memory.get();
}

bool wants_gradient(const std::vector<Tensor>& inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const Tensor& x : inputs)
    if (x.defined() && x.requires_grad()) return true;
  return false;
}

std::vector<Tensor> differentiable(const std::vector<Tensor>& inputs, ComputedTogether computed) {
  auto kept = c10::make_intrusive<Kept>();
  kept->backward = std::move(computed.backward);
  kept->inputs = inputs.size();
  std::vector<Tensor> wanted;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined() && inputs[i].requires_grad()) {
      kept->places.push_back(static_cast<int64_t>(i));
      wanted.push_back(inputs[i]);
    }
  const at::TensorList list(wanted);
  return Operation::apply(list, computed, kept);
}

Tensor differentiable(const std::vector<Tensor>& inputs, Computed computed) {
  auto backward = [one = std::move(computed.backward)](
                      const std::vector<Tensor>& gradients, const std::vector<Tensor>& saved,
                      const Needs& needs) { return one(gradients[0], saved, needs); };
  return differentiable(
      inputs, ComputedTogether{
                  {std::move(computed.output)}, std::move(computed.saved), std::move(backward)})[0];
}

}  // namespace mtlora::backend
