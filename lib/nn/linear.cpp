#include "lib/nn/linear.h"

#include <utility>

namespace mtlora {

std::vector<Part> parts_of(const std::vector<std::pair<std::string, int64_t>>& names_and_rows) {
  std::vector<Part> parts;
  for (const auto& [name, rows] : names_and_rows) {
    const int64_t begin = parts.empty() ? 0 : parts.back().end;
    parts.push_back({name, begin, begin + rows});
  }
  return parts;
}

namespace {

std::vector<Part> equal_parts(int64_t rows, const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, int64_t>> sized;
  for (const std::string& name : names)
    sized.emplace_back(name, rows / static_cast<int64_t>(names.size()));
  return parts_of(sized);
}

}  // namespace

LinearImpl::LinearImpl(LinearShape shape) : LinearImpl(shape, std::vector<std::string>{""}) {}

LinearImpl::LinearImpl(LinearShape shape, const std::vector<std::string>& part_names, PartsAre are)
    : LinearImpl(shape, equal_parts(shape.out, part_names), are) {}

LinearImpl::LinearImpl(LinearShape shape, std::vector<Part> parts, PartsAre are)
    : weight(register_parameter("weight", torch::empty({shape.out, shape.in}))),
      shape_(shape),
      parts_(std::move(parts)),
      parts_are_(are) {
  if (shape.has_bias) bias = register_parameter("bias", torch::empty({shape.out}));
}

Tensor LinearImpl::forward_parts(const Tensor& x, size_t first, size_t last, const Pass& pass) {
  const Part range{"", parts_[first].begin, parts_[last - 1].end};
  const LinearMap base = map_of(range);
  const Tensor y = adapter_ ? adapter_->forward(x, base, range, pass)
                            : backend::linear(x, base.weight, base.bias);
  if (pass.watch) pass.watch->saw(*this, range.begin, y);
  return y;
}

LinearMap LinearImpl::map_of(const Part& range) {
  const bool is_whole = range.size() == shape_.out;
  const auto rows = [&](const Tensor& t) {
    return is_whole || !t.defined() ? t : t.narrow(0, range.begin, range.size());
  };
  if (!is_settled_) return {rows(weight), rows(bias)};
  const std::lock_guard lock(packing_);
  auto found = packed_.find({range.begin, range.end});
  if (found == packed_.end())
    found = packed_.emplace(std::pair{range.begin, range.end}, backend::PackedWeight(rows(weight)))
                .first;
  return {found->second, rows(settled_bias_)};
}

void LinearImpl::settle() {
  packed_.clear();
  is_settled_ = !weight.requires_grad();
  settled_bias_ = bias;
  const bool is_frozen = bias.defined() && !bias.requires_grad();
  // A device's products want a bias of their own type; the CPU's add it in fp32.
  if (is_frozen && backend::is_apart(bias.device())) settled_bias_ = bias.to(weight.scalar_type());
}

void LinearImpl::attach(std::shared_ptr<Adapter> adapter) {
  adapter_ = register_module("adapter", std::move(adapter));
}

void LinearImpl::merge() {
  if (!adapter_) return;
  is_settled_ = false;
  const torch::NoGradGuard no_grad;
  const auto type = weight.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const Affine base{weight.to(type), bias.defined() ? bias.to(type) : Tensor()};
  const Affine merged = adapter_->merged(base);
  weight.copy_(merged.weight);
  if (bias.defined()) bias.copy_(merged.bias);
  unregister_module("adapter");
  adapter_.reset();
}

}  // namespace mtlora
