// The correlation that the regression metrics are made of.
#pragma once

#include <vector>

namespace mtlora {

/// Pearson's correlation of x and y (equally long): Σ (x - x̄)(y - ȳ) / (|x - x̄| |y - ȳ|), in [-1,
/// 1]; NaN where one of them is constant or holds a value that is not finite.
double correlation(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace mtlora
