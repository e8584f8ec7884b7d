// Forward-mode differentiation: numbers that carry their derivative along one direction through
// every operation (Wengert 1964, "A simple automatic derivative evaluation program"), by LibTorch's
// dual tensors.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "lib/backend/cpu/features.h"

namespace mtlora::backend {

/// While it lives, `tensors` carry `directions` (the same number, shapes and types) as derivatives,
/// in every thread, and the plain path is in use, whose operations pass them on; our kernels know
/// no forward rules. One at a time.
class ForwardMode {
 public:
  ForwardMode(const std::vector<at::Tensor>& tensors, const std::vector<at::Tensor>& directions);
  ~ForwardMode();
  ForwardMode(const ForwardMode&) = delete;
  ForwardMode& operator=(const ForwardMode&) = delete;

 private:
  Path before_;
  bool device_before_;
  uint64_t level_;
};

/// The derivative that `x` carries; undefined where it depends on nothing that does.
at::Tensor derivative_of(const at::Tensor& x);

}  // namespace mtlora::backend
