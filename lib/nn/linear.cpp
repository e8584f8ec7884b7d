#include "lib/nn/linear.h"

#include <utility>

namespace mtlora {

LinearImpl::LinearImpl(LinearShape shape) : LinearImpl(shape, {""}) {}

LinearImpl::LinearImpl(LinearShape shape, const std::vector<std::string>& part_names)
    : weight(register_parameter("weight", torch::empty({shape.out, shape.in}))), shape_(shape) {
  if (shape.has_bias) bias = register_parameter("bias", torch::empty({shape.out}));
  const int64_t rows = shape.out / static_cast<int64_t>(part_names.size());
  for (const std::string& name : part_names) {
    const int64_t begin = parts_.empty() ? 0 : parts_.back().end;
    parts_.push_back({name, begin, begin + rows});
  }
}

Tensor LinearImpl::forward_parts(const Tensor& x, size_t first, size_t last, const Pass& pass) {
  const Part range{"", parts_[first].begin, parts_[last - 1].end};
  Affine base{weight, bias};
  if (range.size() != shape_.out) {
    base.weight = weight.narrow(0, range.begin, range.size());
    if (bias.defined()) base.bias = bias.narrow(0, range.begin, range.size());
  }
  if (adapter_) return adapter_->forward(x, base, range, pass);
  return backend::linear(x, base.weight, base.bias);
}

void LinearImpl::attach(std::shared_ptr<Adapter> adapter) {
  adapter_ = register_module("adapter", std::move(adapter));
}

void LinearImpl::merge() {
  if (!adapter_) return;
  const torch::NoGradGuard no_grad;
  const Affine base{weight.to(torch::kFloat), bias.defined() ? bias.to(torch::kFloat) : Tensor()};
  const Affine merged = adapter_->merged(base);
  weight.copy_(merged.weight);
  if (bias.defined()) bias.copy_(merged.bias);
  unregister_module("adapter");
  adapter_.reset();
}

}  // namespace mtlora
