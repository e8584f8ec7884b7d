// Between tensors and kernels: element types, row pointers, masks, scratch, and hand-written
// backwards. For the sources of this folder only.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "lib/backend/cpu/features.h"
#include "lib/backend/cpu/kernels.h"
#include "lib/backend/ops.h"

namespace mtlora::backend {

/// Whether the kernels take this tensor: the avx512 path, on the CPU, float32 or bfloat16.
inline bool fast(const Tensor& x) {
  return path() == Path::avx512 && x.is_cpu() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

/// Calls f with a value of the kernels' element type: float or cpu::Bf16.
template <class F>
void with_element(const Tensor& x, F&& f) {
  if (x.scalar_type() == at::kFloat)
    f(float{});
  else
    f(cpu::Bf16{});
}

/// Rows of a matrix whose columns are contiguous; null for an undefined tensor.
template <class T>
cpu::Rows<T> rows(const Tensor& x) {
  if (!x.defined()) return {};
  return {static_cast<T*>(x.data_ptr()), x.stride(0)};
}

/// x itself if its columns are contiguous, else a copy.
inline Tensor row_major(const Tensor& x) {
  return x.dim() == 0 || x.stride(-1) == 1 ? x : x.contiguous();
}

/// x as a contiguous fp32 vector without a graph; undefined stays undefined.
inline Tensor vector_of_floats(const Tensor& x) {
  return x.defined() ? x.detach().to(at::kFloat).contiguous() : x;
}

/// The data of an fp32 vector, or null.
inline float* floats(const Tensor& x) {
  return x.defined() ? x.data_ptr<float>() : nullptr;
}

/// Whether it drops anything.
inline bool active(const Dropout& dropout) {
  return dropout.p > 0 && dropout.rows.defined();
}

/// The kernels' form of a dropout of `count` rows; `dropout` must outlive it.
cpu::Mask mask_of(const Dropout& dropout, int64_t count);

/// At least `count` floats that belong to the calling thread until its next call.
float* scratch(int64_t count);

/// Whether a gradient will be wanted for any of these.
bool wants_gradient(const std::vector<Tensor>& inputs);

/// Which inputs of a node need their gradient.
using Needs = std::vector<bool>;

/// A finished forward pass: its output, what backward needs again, and backward itself, which gets
/// the output's gradient (its columns contiguous) and returns one gradient an input.
struct Computed {
  Tensor output;
  std::vector<Tensor> saved;
  std::function<std::vector<Tensor>(const Tensor& gradient, const std::vector<Tensor>& saved,
                                    const Needs& needs)>
      backward;
};

/// The output as the result of `inputs` in the graph. Call only where wants_gradient(inputs).
Tensor differentiable(const std::vector<Tensor>& inputs, Computed computed);

/// The same with several outputs of one shape. A gradient that is not wanted of backward is
/// undefined; outputs may be among what is saved.
struct ComputedTogether {
  std::vector<Tensor> outputs, saved;
  std::function<std::vector<Tensor>(const std::vector<Tensor>& gradients,
                                    const std::vector<Tensor>& saved, const Needs& needs)>
      backward;
};

std::vector<Tensor> differentiable(const std::vector<Tensor>& inputs, ComputedTogether computed);

}  // namespace mtlora::backend
