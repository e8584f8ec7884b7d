// What a step does between its passes, on the CPU and, where there is one, on a device.
#include "lib/backend/optimizer_ops.h"

#include <cmath>
#include <limits>

#include "lib/backend/clip.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

std::vector<Tensor> on(at::Device device, std::vector<Tensor> tensors) {
  for (Tensor& t : tensors) t = t.to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  return tensors;
}

/// More tensors than one kernel takes, some of them of more numbers than one block does, one empty.
std::vector<Tensor> many() {
  std::vector<Tensor> all{normal({5}, 1), normal({2, 3000}, 2), at::zeros({0}), normal({1024}, 3),
                          normal({1025}, 4)};
  for (uint64_t i = 0; i < 70; ++i) all.push_back(normal({1 + static_cast<int64_t>(i)}, 5 + i));
  return all;
}

backend::AdamWState state_of(const std::vector<Tensor>& params) {
  backend::AdamWState state{params, {}, {}, {}, {}};
  for (const Tensor& p : params) {
    state.grads.push_back(at::zeros_like(p));
    state.exp_avg.push_back(at::zeros_like(p));
    state.exp_avg_sq.push_back(at::zeros_like(p));
    state.steps.push_back(at::zeros({}, p.options()));
  }
  return state;
}

constexpr backend::AdamW kRule{0.01, 0.9, 0.99, 1e-8, 0.1};

Tensor scalar(double value) {
  return at::scalar_tensor(value, at::kDouble);
}

}  // namespace

TEST_CASE("fused AdamW follows its equations", "[backend]") {
  for (const at::Device device : devices()) {
    CAPTURE(device);
    backend::AdamWState state = state_of(on(device, many()));
    std::vector<Tensor> want, m, v;
    for (const Tensor& x : state.params) {
      want.push_back(x.to(at::kCPU, at::kDouble));
      m.push_back(at::zeros_like(want.back()));
      v.push_back(at::zeros_like(want.back()));
    }
    for (int step = 1; step <= 3; ++step) {
      for (size_t i = 0; i < want.size(); ++i) {
        const Tensor g = normal(want[i].sizes(), 100 * static_cast<uint64_t>(step) + i);
        state.grads[i].copy_(g);
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.99 * v[i] + 0.01 * g * g;
        const Tensor first = m[i] / (1 - std::pow(0.9, step));
        const Tensor second = v[i] / (1 - std::pow(0.99, step));
        want[i] = want[i] * (1 - 0.01 * 0.1) - 0.01 * first / (second.sqrt() + 1e-8);
      }
      backend::fused_adamw(state, kRule);
    }
    for (size_t i = 0; i < want.size(); ++i) {
      CAPTURE(i);
      CHECK(state.steps[i].item<float>() == 3);
      if (want[i].numel() == 0) continue;
      CHECK(relative_error(state.params[i].cpu(), want[i]) <= 1e-6);
      CHECK(relative_error(state.exp_avg[i].cpu(), m[i]) <= 1e-6);
      CHECK(relative_error(state.exp_avg_sq[i].cpu(), v[i]) <= 1e-6);
    }
  }
}

TEST_CASE("fused AdamW is left out where the device says so", "[backend]") {
  for (const at::Device device : devices()) {
    CAPTURE(device);
    const auto fresh = [&] {
      backend::AdamWState state = state_of(on(device, many()));
      state.grads = on(device, many());
      return state;
    };
    backend::AdamWState plain = fresh(), goes = fresh(), skipped = fresh();
    const Tensor no = at::zeros({}, plain.params[0].options()), yes = at::ones_like(no);
    for (int step = 0; step < 2; ++step) {
      backend::fused_adamw(plain, kRule);
      backend::fused_adamw(goes, kRule, no);
      backend::fused_adamw(skipped, kRule, yes);
    }
    const std::vector<Tensor> before = many();
    for (size_t i = 0; i < before.size(); ++i) {
      CAPTURE(i);
      CHECK(at::equal(goes.params[i], plain.params[i]));
      CHECK(goes.steps[i].item<float>() == 2);
      CHECK(at::equal(skipped.params[i].cpu(), before[i]));
      CHECK(!skipped.exp_avg[i].any().item<bool>());
      CHECK(!skipped.exp_avg_sq[i].any().item<bool>());
      CHECK(skipped.steps[i].item<float>() == 0);
    }
  }
}

TEST_CASE("clipping is the same bits whether the CPU knows the norm or not", "[backend]") {
  for (const at::Device device : devices()) {
    CAPTURE(device);
    for (int i = 0; i < 500; ++i) {
      const auto grads = on(device, {normal({3}, static_cast<uint64_t>(i)).exp()});
      const double norm = backend::gradient_norm(grads).item<double>();
      const backend::Verdict verdict = backend::judge(grads, scalar(0.5), 2.5);
      CHECK(verdict.numbers[1].item<double>() == norm);
      CHECK(verdict.factor.item<float>() == static_cast<float>(backend::clip_factor(norm, 2.5)));
      CHECK(backend::judge(grads, scalar(0.5), 0).factor.item<float>() == 1);
    }
  }
  CHECK(backend::clip_factor(0.5, 0.7) == 1);
  CHECK(backend::clip_factor(1.4, 0.7) == Approx(0.5).epsilon(1e-5));
  CHECK(backend::clip_factor(1.4, 0) == 1);
}

TEST_CASE("a step whose loss or gradients are not finite is to be left out", "[backend]") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (const at::Device device : devices()) {
    CAPTURE(device);
    const int pieces = GENERATE(1, 2);
    CAPTURE(pieces);
    const auto verdict = [&](double one_gradient, double loss) {
      std::vector<Tensor> all{normal({3000}, 1), normal({7}, 2)};
      all[0][2999] = one_gradient;
      if (pieces == 1) all = {at::cat(all)};
      return backend::judge(on(device, all), scalar(loss), 1);
    };
    const backend::Verdict good = verdict(1, 0.25);
    CHECK(good.skipped.item<float>() == 0);
    CHECK(good.numbers[0].item<double>() == 0.25);
    for (const double bad : {inf, -inf, nan, 1e30}) {  // the last one's square is no fp32 number
      CAPTURE(bad);
      CHECK(verdict(bad, 0.25).skipped.item<float>() == 1);
    }
    for (const double bad : {inf, -inf, nan}) {
      CAPTURE(bad);
      CHECK(verdict(1, bad).skipped.item<float>() == 1);
    }
  }
}

TEST_CASE("the gradient norm is that of all gradients together", "[backend]") {
  for (const at::Device device : devices()) {
    CAPTURE(device);
    const auto grads = on(device, {at::full({3}, 2.0), at::full({1}, 2.0)});
    CHECK(backend::gradient_norm(grads).item<double>() == Approx(4));
    backend::scale_(grads, 0.5);
    CHECK(backend::gradient_norm(grads).item<double>() == Approx(2));
    for (const int64_t count : {1, 1024, 1025, 600'000}) {  // the last: more than once round
      const Tensor x = normal({count}, 9);
      const double want = at::linalg_vector_norm(x.to(at::kDouble)).item<double>();
      CHECK(backend::gradient_norm(on(device, {x})).item<double>() == Approx(want).epsilon(1e-5));
    }
  }
  CHECK(backend::gradient_norm({}).item<double>() == 0);
}

TEST_CASE("gradients are put together in their order", "[backend]") {
  for (const at::Device device : devices()) {
    CAPTURE(device);
    const std::vector<Tensor> parts = on(device, many());
    std::vector<Tensor> rows;
    for (const Tensor& part : parts) rows.push_back(part.reshape({-1}));
    const Tensor want = at::cat(rows), flat = at::full_like(want, std::nan(""));
    backend::put_together(parts, flat);
    CHECK(at::equal(flat, want));
  }
}
