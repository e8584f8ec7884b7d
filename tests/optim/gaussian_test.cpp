// The normal numbers that directions are made of.

#include "lib/optim/gaussian.h"

#include <cmath>

#include "lib/core/random.h"
#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

double moment(const at::Tensor& x, int power) {
  return x.to(at::kDouble).pow(power).mean().item<double>();
}

double correlation(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) * b.to(at::kDouble)).mean().item<double>();
}

}  // namespace

TEST_CASE("the numbers are those of Philox through Box and Muller", "[optim]") {
  const auto path = GENERATE(from_range(all_paths()));
  const int64_t count = GENERATE(1, 2, 31, 4096, 4999);
  CAPTURE(name_of(path), count);
  const OnPath guard(path);
  const uint64_t key = 0x123456789abcdef0;
  const int64_t block = (int64_t{1} << 40) + 5, pairs = (count + 1) / 2;
  const auto half = [](uint64_t x, int shift) { return static_cast<uint32_t>(x >> shift); };
  const at::Tensor got = gaussian_block(key, block, count);
  REQUIRE(got.sizes() == at::IntArrayRef({count}));
  double worst = 0;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const auto counter = static_cast<uint32_t>(pair / 32 * 16 + pair % 16);
    const auto bits = philox({counter, 0, half(static_cast<uint64_t>(block), 0), 1U << 8},
                             {half(key, 0), half(key, 32)});
    const size_t word = pair % 32 < 16 ? 0 : 2;
    const double u = (static_cast<double>(bits[word] >> 1) + 0.5) * 0x1p-31;
    const double angle = 2 * M_PI * static_cast<double>(bits[word + 1] >> 8) * 0x1p-24;
    const double radius = std::sqrt(-2 * std::log(u));
    // fp32: u is off by 2^-24 u, and so the radius by 2^-24 / radius
    const double tolerance = 0x1p-24 / radius + 4e-6;
    const auto compare = [&](int64_t at, double want) {
      if (at >= count) return;
      worst = std::max(worst, std::abs(got[at].item<double>() - want) / tolerance);
    };
    compare(pair, radius * std::cos(angle));
    compare(pair + pairs, radius * std::sin(angle));
  }
  CHECK(worst < 1);
}

TEST_CASE("the numbers are normal and independent", "[optim]") {
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  const int64_t n = int64_t{1} << 22;
  const at::Tensor x = gaussian(7, {n});
  const double root = std::sqrt(static_cast<double>(n));
  // five standard errors; Var(x^k) of N(0, 1) is 1, 2, 15, 96, 10170 for k = 1, 2, 3, 4, 6
  CHECK(std::abs(moment(x, 1)) < 5 * 1 / root);
  CHECK(std::abs(moment(x, 2) - 1) < 5 * std::sqrt(2.0) / root);
  CHECK(std::abs(moment(x, 3)) < 5 * std::sqrt(15.0) / root);
  CHECK(std::abs(moment(x, 4) - 3) < 5 * std::sqrt(96.0) / root);
  CHECK(std::abs(moment(x, 6) - 15) < 5 * std::sqrt(10170.0) / root);
  // Kolmogorov-Smirnov: beyond 2.3 / √n in one of ten thousand draws
  const at::Tensor sorted = std::get<0>(x.to(at::kDouble).sort());
  const at::Tensor want = at::special_ndtr(sorted);
  const at::Tensor have = at::arange(1, n + 1, at::kDouble) / static_cast<double>(n);
  CHECK((have - want).abs().max().item<double>() < 2.3 / root);
  // neighbours, the halves of a block, blocks, keys
  const int64_t half = kGaussianBlock / 2;
  for (const int64_t lag : {int64_t{1}, int64_t{64}, half, kGaussianBlock}) {
    CAPTURE(lag);
    CHECK(std::abs(correlation(x.narrow(0, 0, n - lag), x.narrow(0, lag, n - lag))) < 5 / root);
  }
  CHECK(std::abs(correlation(x, gaussian(8, {n}))) < 5 / root);
  CHECK(x.abs().max().item<double>() > 4.5);
}

TEST_CASE("a block does not depend on the others", "[optim]") {
  const at::Tensor whole = gaussian(3, {2 * kGaussianBlock + 77});
  CHECK(torch::equal(whole.narrow(0, kGaussianBlock, kGaussianBlock),
                     gaussian_block(3, 1, kGaussianBlock)));
  CHECK(torch::equal(whole.narrow(0, 2 * kGaussianBlock, 77), gaussian_block(3, 2, 77)));
  CHECK(torch::equal(gaussian(3, {50, 60}).flatten(), gaussian(3, {3000})));
  CHECK(gaussian(3, {1}).numel() == 1);
  CHECK(gaussian(3, {0, 4}).numel() == 0);
}
