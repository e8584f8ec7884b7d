// Goldens: tensors that another program computed, and the one way tests compare with them. See
// tests/golden/README.md.
#pragma once

#include "tests/support/test.h"
// LibTorch comes before Catch2: hence the order of these.
#include <cmath>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "lib/weights/weight_file.h"
#include "tests/support/paths.h"

namespace mtlora::test {

/// A file or folder of tests/golden: "bert-tiny", "bert-tiny/golden.safetensors".
inline std::filesystem::path golden_path(const std::string& name) {
  return source_root() / "tests" / "golden" / name;
}

/// All tensors of a golden file.
inline std::map<std::string, at::Tensor> golden(const std::string& name) {
  const auto file = open_weights(golden_path(name));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& info : file->tensors()) tensors[info.name] = file->read(info.name);
  return tensors;
}

/// The largest difference of two tensors.
inline double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

/// Where `got` is not `want`, in words; empty where every element is within `tolerance · scale`,
/// scale being the largest |want| unless given. Against zeros alone only zeros are close.
inline std::string difference(const at::Tensor& got, const at::Tensor& want, double tolerance,
                              std::optional<double> scale = std::nullopt) {
  if (!got.defined() || !want.defined()) return "one has no value";
  std::ostringstream text;
  text.precision(9);
  if (got.sizes() != want.sizes()) {
    text << "shape " << got.sizes() << ", wanted " << want.sizes();
    return text.str();
  }
  if (want.numel() == 0) return "";
  const at::Tensor g = got.detach().to(at::kCPU, at::kDouble).flatten();
  const at::Tensor w = want.detach().to(at::kCPU, at::kDouble).flatten();
  // What is no number is infinitely far away.
  const at::Tensor error = at::nan_to_num((g - w).abs(), INFINITY, INFINITY, INFINITY);
  const int64_t worst = error.argmax().item<int64_t>();
  const double size = scale.value_or(w.abs().max().item<double>());
  const double found = error[worst].item<double>();
  if (found <= tolerance * size) return "";
  std::vector<int64_t> index(static_cast<size_t>(want.dim()));
  for (int64_t d = want.dim(), left = worst; d-- > 0; left /= want.size(d))
    index[static_cast<size_t>(d)] = left % want.size(d);
  text << "at " << at::IntArrayRef(index) << " got " << g[worst].item<double>() << ", wanted "
       << w[worst].item<double>() << "; away by " << found / size << " of " << size << ", allowed "
       << tolerance;
  return text.str();
}

/// One assertion: fails with the name, the worst index, both values and the tolerance.
inline void check_close(const std::string& name, const at::Tensor& got, const at::Tensor& want,
                        double tolerance, std::optional<double> scale = std::nullopt) {
  const std::string found = difference(got, want, tolerance, scale);
  if (found.empty())
    SUCCEED();
  else
    FAIL_CHECK(name << ": " << found);
}

}  // namespace mtlora::test
