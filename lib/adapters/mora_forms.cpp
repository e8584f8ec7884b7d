#include "lib/adapters/mora_forms.h"

#include <algorithm>
#include <cmath>

#include "lib/nn/pass.h"

namespace mtlora {
namespace {

int64_t blocks(int64_t entries, int64_t width) {
  return (entries - 1) / width + 1;
}

}  // namespace

int64_t mora_width(int64_t in, int64_t out, int64_t rank, bool is_even) {
  const auto area = static_cast<double>(in + out) * static_cast<double>(rank);
  const auto width = static_cast<int64_t>(std::sqrt(area) + 0.5);
  return is_even ? std::max<int64_t>(2, width / 2 * 2) : width;
}

Tensor padded_circularly(const Tensor& x, int64_t width) {
  const int64_t in = x.size(1);
  std::vector<Tensor> pieces{x};
  for (int64_t missing = blocks(in, width) * width - in; missing > 0; missing -= in)
    pieces.push_back(x.narrow(1, 0, std::min(missing, in)));
  return pieces.size() == 1 ? x : torch::cat(pieces, 1);
}

Tensor gather_shared(const Tensor& x, int64_t width) {
  if (x.size(1) == width) return x;
  return padded_circularly(x, width).reshape({x.size(0), -1, width}).sum(1);
}

Tensor gather_grouped(const Tensor& x, int64_t width) {
  const int64_t small = x.size(1) / width, large_groups = x.size(1) % width;
  const int64_t split = large_groups * (small + 1);
  const auto sums = [&](int64_t begin, int64_t groups, int64_t size) {
    return x.narrow(1, begin, groups * size).reshape({x.size(0), groups, size}).sum(2);
  };
  return torch::cat({sums(0, large_groups, small + 1), sums(split, width - large_groups, small)},
                    1);
}

Tensor spread_shared(const Tensor& v, int64_t out) {
  const int64_t times = blocks(out, v.size(1));
  return (times == 1 ? v : v.repeat({1, times})).narrow(1, 0, out);
}

Tensor spread_grouped(const Tensor& v, int64_t out) {
  const int64_t width = v.size(1), small = out / width, large_groups = out % width;
  const auto repeated = [&](int64_t begin, int64_t groups, int64_t size) {
    return v.narrow(1, begin, groups)
        .unsqueeze(2)
        .expand({v.size(0), groups, size})
        .reshape({v.size(0), groups * size});
  };
  return torch::cat(
      {repeated(0, large_groups, small + 1), repeated(large_groups, width - large_groups, small)},
      1);
}

Tensor mora_sharing(const Tensor& x, const Tensor& m, int64_t out) {
  return spread_shared(backend::linear(gather_shared(x, m.size(0)), m, {}), out);
}

Tensor mora_rotation(const Tensor& x, const Tensor& m, int64_t out) {
  const int64_t width = m.size(0), half = width / 2, count = blocks(x.size(1), width);
  const auto exact = torch::TensorOptions(torch::kDouble).device(x.device());
  const Tensor angle =
      torch::arange(count, exact).unsqueeze(1) *
      torch::pow(10000.0, torch::arange(half, exact) * (-2.0 / static_cast<double>(width)));
  const auto type = x.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const Tensor cos = angle.cos().to(type), sin = angle.sin().to(type);  // [blocks, half]
  const Tensor block = padded_circularly(x, width).reshape({x.size(0), count, width});
  const Tensor first = block.narrow(2, 0, half), second = block.narrow(2, half, half);
  const Tensor rotated =
      torch::cat({first * cos - second * sin, second * cos + first * sin}, 2).to(x.scalar_type());
  const Tensor y = backend::linear(rotated.reshape({-1, width}), m, {});
  return spread_shared(y.reshape({x.size(0), count * width}), out);
}

Tensor mora_both_ways(const Tensor& x, const Tensor& m, int64_t out) {
  const int64_t width = m.size(0) / 2;
  const Tensor sums = torch::cat({gather_shared(x, width), gather_grouped(x, width)}, 1);
  const Tensor v = backend::linear(sums, m, {});
  return spread_shared(v.narrow(1, 0, width), out) + spread_grouped(v.narrow(1, width, width), out);
}

}  // namespace mtlora
