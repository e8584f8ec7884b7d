// What linear_low_rank() is on the CPU and on a CUDA device alike: whose columns are which, and the
// order of the operation's inputs. For the sources of this folder only.
#pragma once

#include <algorithm>
#include <vector>

#include "lib/backend/kernel_call.h"

namespace mtlora::backend {

inline Tensor of_out(const Tensor& y, const LowRank::Part& part) {
  return y.narrow(1, part.out_begin, part.out_end - part.out_begin);
}

inline Tensor of_rank(const Tensor& low, const LowRank::Part& part) {
  return low.narrow(1, part.r_begin, part.r_end - part.r_begin);
}

/// [R, in]: all rows.
inline Tensor joined(const std::vector<Tensor>& a) {
  return a.size() == 1 ? a[0] : at::cat(a);
}

/// Inputs and gradients in their order: x, weight, bias, every a, the b of every part.
class LowRankInputs {
 public:
  explicit LowRankInputs(const LowRank& low_rank) : parts_(low_rank.parts.size()) {
    for (const Tensor& a : low_rank.a) ranks_.push_back(a.size(0));
  }

  static std::vector<Tensor> of(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                const LowRank& low_rank) {
    std::vector<Tensor> inputs{x, weight, bias};
    inputs.insert(inputs.end(), low_rank.a.begin(), low_rank.a.end());
    for (const LowRank::Part& part : low_rank.parts) inputs.push_back(part.b);
    return inputs;
  }

  size_t count() const { return b(parts_); }
  size_t b(size_t part) const { return kFirst + ranks_.size() + part; }
  bool wants_a(const Needs& needs) const {
    const auto first = needs.begin() + kFirst, last = first + std::ssize(ranks_);
    return std::find(first, last, true) != last;
  }
  /// da [R, in] as the gradients of every a.
  void set_a(std::vector<Tensor>& gradients, const Tensor& da) const {
    const std::vector<Tensor> each = da.split_with_sizes(ranks_);
    std::copy(each.begin(), each.end(), gradients.begin() + kFirst);
  }

 private:
  static constexpr int64_t kFirst = 3;
  std::vector<int64_t> ranks_;
  size_t parts_;
};

}  // namespace mtlora::backend
