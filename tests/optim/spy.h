// A loss that remembers where it was looked at: what an optimizer without gradients did is all
// there.
#pragma once

#include "tests/support/golden.h"
// The order matters: LibTorch before Catch2.
#include <functional>
#include <utility>
#include <vector>

#include "lib/optim/registry.h"

namespace mtlora::test {

using Place = std::vector<Tensor>;  ///< a value for every parameter

inline Place place_of(const std::vector<Parameter>& parameters) {
  Place place;
  for (const Parameter& p : parameters) place.push_back(p.tensor.detach().clone());
  return place;
}

/// The largest difference, relative to the largest value of its tensor.
inline double distance(const Place& a, const Place& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double size = b[i].abs().max().item<double>();
    worst = std::max(worst, (a[i] - b[i]).abs().max().item<double>() / std::max(size, 1e-300));
  }
  return worst;
}

inline Place added(const Place& a, const Place& b, double factor = 1) {
  Place sum;
  for (size_t i = 0; i < a.size(); ++i) sum.push_back(a[i] + factor * b[i]);
  return sum;
}

inline double dot(const Place& a, const Place& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] * b[i]).sum().item<double>();
  return sum;
}

/// Numbers of mean 0 and deviation 1.
inline Tensor numbers(at::IntArrayRef sizes, int64_t seed) {
  const int64_t count = c10::multiply_integers(sizes);
  return at::frac(at::sin(at::arange(1, count + 1, at::kDouble) *
                          (12.9898 + 0.618 * static_cast<double>(seed))) *
                  43758.5453)
      .mul(1.7)
      .reshape(sizes);
}

/// A matrix that decays, a vector with a learning rate of its own, and a bias; doubles.
inline std::vector<Parameter> small_parameters() {
  return {{"weight", numbers({5, 7}, 1), true, 1, std::nullopt},
          {"scale", numbers({11}, 2), true, 0.5, std::nullopt},
          {"bias", numbers({3}, 3), false, 2, std::nullopt}};
}

class Spy {
 public:
  explicit Spy(const std::vector<Parameter>& parameters) : parameters_(parameters) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      linear_.push_back(numbers(parameters[i].tensor.sizes(), 10 + static_cast<int64_t>(i)));
      curve_.push_back(numbers(parameters[i].tensor.sizes(), 20 + static_cast<int64_t>(i)).abs());
    }
  }

  /// 1/2 Σ h θ² + Σ b θ: a central difference of it is exact.
  double loss(const Place& at) const {
    double sum = 0;
    for (size_t i = 0; i < at.size(); ++i)
      sum += (at[i] * (0.5 * curve_[i] * at[i] + linear_[i])).sum().item<double>();
    return sum;
  }
  Place gradient(const Place& at) const {
    Place slopes;
    for (size_t i = 0; i < at.size(); ++i) slopes.push_back(curve_[i] * at[i] + linear_[i]);
    return slopes;
  }

  /// One step; `seen` is where it looked, in order. `scripted` losses are told instead, if given.
  double step(Optimizer& optimizer, int64_t index, double factor = 1,
              std::vector<double> scripted = {}) {
    seen.clear();
    LossStep step{index, /*seed=*/5, factor, {}, {}};
    step.loss = [&] {
      seen.push_back(place_of(parameters_));
      return scripted.empty() ? loss(seen.back()) : scripted.at(seen.size() - 1);
    };
    step.slope = [&](const std::vector<Tensor>& direction) {
      seen.push_back(direction);
      const Place here = place_of(parameters_);
      return LossSlope{loss(here), dot(gradient(here), direction)};
    };
    return optimizer.step_by_loss(step);
  }

  std::vector<Place> seen;

 private:
  std::vector<Parameter> parameters_;
  Place linear_, curve_;
};

}  // namespace mtlora::test
