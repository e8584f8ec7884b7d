#include "lib/backend/weight.h"

#include <mutex>

#include "lib/backend/gemm.h"

namespace mtlora::backend {

struct PackedWeight::State {
  at::Tensor weight;
  std::once_flag forward_built, backward_built;
  PackedMatrix forward, backward;
};

PackedWeight::PackedWeight(at::Tensor weight) : state_(std::make_shared<State>()) {
  TORCH_INTERNAL_ASSERT(weight.dim() == 2 && !weight.requires_grad(),
                        "only a frozen [out, in] weight is packed");
  state_->weight = std::move(weight);
}

const at::Tensor& PackedWeight::weight() const {
  return state_->weight;
}

const PackedMatrix& PackedWeight::forward() const {
  std::call_once(state_->forward_built, [this] {
    state_->forward = pack(state_->weight.t(), state_->weight.scalar_type());
  });
  return state_->forward;
}

const PackedMatrix& PackedWeight::backward() const {
  std::call_once(state_->backward_built,
                 [this] { state_->backward = pack(state_->weight, state_->weight.scalar_type()); });
  return state_->backward;
}

PackedMatrix Weight::forward(at::ScalarType type) const {
  if (packed_ && tensor_.scalar_type() == type) return packed_->forward();
  return pack(tensor_.detach().t(), type);
}

PackedMatrix Weight::backward(at::ScalarType type) const {
  if (packed_ && tensor_.scalar_type() == type) return packed_->backward();
  return pack(tensor_.detach(), type);
}

}  // namespace mtlora::backend
