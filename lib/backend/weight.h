// The weight of a linear, as the product wants it: a tensor, or a frozen one rearranged once.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <utility>

namespace mtlora::backend {

/// The right side [depth, columns] of a product, rearranged for the kernels (cpu/kernels.h).
struct PackedMatrix {
  at::Tensor data;
  int64_t depth = 0, columns = 0;
};

/// A frozen weight [out, in] of the compute type, rearranged at its first use: once for x Wᵀ, once
/// for dy W. Holds up to two copies beside the weight; copies of the object share them. Safe to use
/// from several threads. The weight must not change any more.
class PackedWeight {
 public:
  explicit PackedWeight(at::Tensor weight);
  const at::Tensor& weight() const;
  const PackedMatrix& forward() const;   ///< Wᵀ [in, out]
  const PackedMatrix& backward() const;  ///< W [out, in]

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// What linear() takes: a tensor [out, in], rearranged at every call, or a PackedWeight.
class Weight {
 public:
  Weight(at::Tensor weight) : tensor_(std::move(weight)) {}
  Weight(PackedWeight weight)
      : tensor_(weight.weight()), packed_(std::make_shared<PackedWeight>(std::move(weight))) {}
  const at::Tensor& tensor() const { return tensor_; }
  PackedMatrix forward(at::ScalarType type) const;   ///< for x of this type
  PackedMatrix backward(at::ScalarType type) const;  ///< for dy of this type

 private:
  at::Tensor tensor_;
  std::shared_ptr<const PackedWeight> packed_;
};

}  // namespace mtlora::backend
