#include "lib/backend/dropout.h"

#include <cmath>

#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

/// Kept values minus their mean, [rows, channels] of one key.
Tensor centred_mask(uint64_t key, int64_t first_row, double p) {
  const backend::Dropout dropout{p, key, at::arange(first_row, first_row + 128)};
  return (backend::dropout_mask(dropout, 512) > 0).to(at::kFloat) - (1 - p);
}

/// How many standard deviations the mean of products is from 0, for independent a and b.
double deviations(const Tensor& a, const Tensor& b, double p) {
  return (a * b).sum().item<double>() / (p * (1 - p) * std::sqrt(static_cast<double>(a.numel())));
}

}  // namespace

TEST_CASE("a dropout mask keeps its share", "[backend]") {
  for (const double p : {0.05, 0.1, 0.5}) {
    double squares = 0;
    const int keys = 64;
    for (uint64_t key = 0; key < keys; ++key) {
      const Tensor mask = centred_mask(key, 1000, p);
      const double z =
          mask.sum().item<double>() / std::sqrt(p * (1 - p) * static_cast<double>(mask.numel()));
      CHECK(std::abs(z) < 4.5);
      squares += z * z;
    }
    CHECK(squares / keys > 0.5);  // chi-square of 64: neither too wide nor too narrow
    CHECK(squares / keys < 1.6);
  }
}

TEST_CASE("neighbouring channels, rows and keys of dropout are uncorrelated", "[backend]") {
  const double p = 0.1;
  double squares = 0;
  int count = 0;
  for (uint64_t key = 0; key < 32; ++key) {
    const Tensor mask = centred_mask(key, 5, p), next_key = centred_mask(key + 1, 5, p);
    std::vector<double> z{deviations(mask, next_key, p)};
    for (const int64_t step : {1, 2, 16, 256}) {
      const int64_t left = 512 - step;
      z.push_back(deviations(mask.narrow(1, 0, left), mask.narrow(1, step, left), p));
    }
    for (const int64_t step : {1, 2, 64})
      z.push_back(deviations(mask.narrow(0, 0, 128 - step), mask.narrow(0, step, 128 - step), p));
    for (const double value : z) {
      CHECK(std::abs(value) < 4.5);
      squares += value * value;
      ++count;
    }
  }
  CHECK(count == 256);
  CHECK(squares / count > 0.75);
  CHECK(squares / count < 1.3);
}

TEST_CASE("a mask's sum over a row varies like a binomial", "[backend]") {
  double squares = 0;
  for (uint64_t key = 0; key < 16; ++key) {
    const Tensor sums = centred_mask(key, 77, 0.1).sum(1) / std::sqrt(512 * 0.09);
    squares += sums.square().mean().item<double>() / 16;
  }
  CHECK(squares == Approx(1).margin(0.15));  // of 2048 rows: 5 standard deviations
}

TEST_CASE("both paths drop the same channels", "[backend]") {
  if (!backend::has_avx512()) {
    SUCCEED("skipped: this CPU has no AVX-512");
    return;
  }
  for (const int64_t width : {1, 15, 16, 100, 384}) {
    const backend::Dropout dropout{0.3, 42, identities(9)};
    const Tensor x = at::ones({9, width});
    const PathGuard path(Path::avx512);
    const Tensor fast = backend::dropout(x, dropout);
    backend::use_path(Path::plain);
    CHECK(at::equal(fast, backend::dropout(x, dropout)));
    CHECK(at::equal(fast, backend::dropout_mask(dropout, width)));
    for (int64_t c = 0; c < width; ++c)
      CHECK((fast[3][c].item<float>() > 0) ==
            backend::keep(42, dropout.rows[3].item<int64_t>(), static_cast<uint32_t>(c), 0.3));
  }
}

TEST_CASE("dropout has the plain path's values and gradients", "[backend]") {
  const Tensor x = normal({37, 100}, 1).requires_grad_();
  compare_both({x}, [](const std::vector<Tensor>& in) {
    return backend::dropout(in[0], {0.25, 3, identities(37)});
  });
}

TEST_CASE("no dropout returns its input", "[backend]") {
  const Tensor x = normal({4, 8}, 1);
  CHECK(backend::dropout(x, {}).is_same(x));
  CHECK(backend::dropout(x, {0.5, 1, {}}).is_same(x));
  CHECK(backend::dropout(x, {0, 1, identities(4)}).is_same(x));
}
