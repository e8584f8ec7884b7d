// What the tests of the kernels share: random cases, and the comparison of the fast path in float32
// or bfloat16 with the plain path in double, tensor by tensor.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lib/backend/cpu/features.h"
#include "lib/backend/ops.h"
#include "tests/support/device.h"
#include "tests/support/test.h"

namespace mtlora::test {

using at::Tensor;
using backend::Packing;
using backend::Path;

/// Restores the path that was in use.
class PathGuard {
 public:
  explicit PathGuard(Path path) { backend::use_path(path); }
  ~PathGuard() { backend::use_path(before_); }
  PathGuard(const PathGuard&) = delete;
  PathGuard& operator=(const PathGuard&) = delete;

 private:
  Path before_ = backend::path();
};

/// Normal numbers of one seed.
inline Tensor normal(at::IntArrayRef sizes, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(sizes, generator);
}

inline Packing packing_of(const std::vector<int32_t>& lengths) {
  auto offsets = std::make_shared<std::vector<int32_t>>(1, 0);
  int32_t longest = 0;
  for (const int32_t length : lengths) {
    offsets->push_back(offsets->back() + length);
    longest = std::max(longest, length);
  }
  return {offsets, longest};
}

inline int64_t tokens_of(const Packing& packing) {
  return packing.offsets->back();
}

/// Some identity for each of `count` rows.
inline Tensor identities(int64_t count, int64_t first = 0) {
  return at::arange(first, first + count).mul_(int64_t{0x9e3779b97f4a7c1}).add_(int64_t{12345});
}

/// Where operations are tested.
inline std::vector<at::Device> devices() {
  std::vector<at::Device> all;
  if (!only_device()) all.push_back(at::kCPU);
  if (has_device()) all.push_back(the_device());
  return all;
}

using Operation = std::function<Tensor(const std::vector<Tensor>&)>;

/// The output of f, then the gradient of every input that requires one, for a fixed random gradient
/// of the output.
inline std::vector<Tensor> output_and_gradients(const std::vector<Tensor>& inputs,
                                                const Operation& f) {
  std::vector<Tensor> leaves, wanted;
  for (const Tensor& x : inputs) {
    leaves.push_back(x.defined() ? x.detach().clone().set_requires_grad(x.requires_grad()) : x);
    if (x.defined() && x.requires_grad()) wanted.push_back(leaves.back());
  }
  const Tensor y = f(leaves);
  std::vector<Tensor> results{y.detach()};
  if (wanted.empty()) return results;
  const Tensor direction =
      normal(y.sizes(), 99).to(at::kBFloat16).to(y.scalar_type()).to(y.device());
  for (const Tensor& g : torch::autograd::grad({y}, wanted, {direction})) results.push_back(g);
  return results;
}

/// The largest difference over the largest wanted value; infinite where shapes or finiteness
/// differ.
inline double relative_error(const Tensor& found, const Tensor& want) {
  const Tensor got = found.to(at::kCPU);
  if (got.sizes() != want.sizes() || !at::isfinite(got).all().item<bool>())
    return std::numeric_limits<double>::infinity();
  if (want.numel() == 0) return 0;
  const double scale = want.abs().max().item<double>();
  const double error = (got.to(at::kDouble) - want).abs().max().item<double>();
  return scale > 0 ? error / scale : error;
}

inline void compare_results(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                            at::ScalarType type) {
  REQUIRE(got.size() == want.size());
  const double tolerance = type == at::kFloat ? 1e-5 : 1e-2;
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("tensor " << i << " (0: output, then gradients), " << got[i].sizes() << ", " << type
                   << " on " << got[i].device());
    CHECK(relative_error(got[i], want[i]) <= tolerance);
  }
}

/// The same on the CUDA device.
inline std::vector<Tensor> on_device(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> there;
  for (const Tensor& x : inputs)
    there.push_back(x.defined() ? x.detach().to(the_device()).set_requires_grad(x.requires_grad())
                                : x);
  return there;
}

/// Checks f on the avx512 path and on the CUDA device, where there are such, in `type` against f on
/// the plain path in double. Inputs of type float are converted, except those that stay fp32 in
/// every type (their index in `always_float`).
inline void compare(const std::vector<Tensor>& inputs, const Operation& f, at::ScalarType type,
                    const std::vector<size_t>& always_float = {}) {
  if (!backend::has_avx512() && !has_device()) {
    SUCCEED("skipped: this CPU has no AVX-512, and there is no CUDA device");
    return;
  }
  std::vector<Tensor> fast_inputs, plain_inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    const bool fixed = std::find(always_float.begin(), always_float.end(), i) != always_float.end();
    const bool grad = x.defined() && x.requires_grad();
    const Tensor fast = x.defined() && !fixed ? x.detach().to(type) : x;
    fast_inputs.push_back(fast.defined() ? fast.detach().set_requires_grad(grad) : fast);
    plain_inputs.push_back(fast.defined() ? fast.detach().to(at::kDouble).set_requires_grad(grad)
                                          : fast);
  }
  std::vector<Tensor> want;
  {
    PathGuard path(Path::plain);
    want = output_and_gradients(plain_inputs, f);
  }
  if (backend::has_avx512() && !only_device()) {
    PathGuard path(Path::avx512);
    compare_results(output_and_gradients(fast_inputs, f), want, type);
  }
  if (has_device()) compare_results(output_and_gradients(on_device(fast_inputs), f), want, type);
}

inline void compare_both(const std::vector<Tensor>& inputs, const Operation& f,
                         const std::vector<size_t>& always_float = {}) {
  compare(inputs, f, at::kFloat, always_float);
  compare(inputs, f, at::kBFloat16, always_float);
}

}  // namespace mtlora::test
