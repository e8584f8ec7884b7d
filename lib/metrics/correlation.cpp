#include "lib/metrics/correlation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace mtlora {
namespace {

// x without its mean, scaled to length one; empty where that is not defined.
std::vector<double> standardized(std::vector<double> x) {
  if (!std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); })) return {};
  // Asked of the values: the rounded mean of equal values may differ from them.
  if (std::equal(x.begin(), x.end() - 1, x.begin() + 1)) return {};
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  double largest = 0;  // squares of values scaled by it neither overflow nor vanish
  for (double& v : x) largest = std::max(largest, std::abs(v -= mean));
  for (double& v : x) v /= largest;
  const double length = std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
  for (double& v : x) v /= length;
  return x;
}

}  // namespace

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto a = standardized(x), b = standardized(y);
  if (a.empty() || b.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::clamp(std::inner_product(a.begin(), a.end(), b.begin(), 0.0), -1.0, 1.0);
}

}  // namespace mtlora
