#include <atomic>
#include <stdexcept>
#include <thread>

#include "lib/backend/cpu/kernels.h"
#include "lib/backend/optimizer_ops.h"
#include "lib/backend/shards.h"
#include "lib/core/error.h"
#include "tests/backend/compare.h"
#include "tests/support/little_room.h"

using namespace mtlora;
using namespace mtlora::test;

TEST_CASE("the kernels pass their self-test", "[backend]") {
  const Path before = backend::path();
  CHECK(backend::self_test());
  CHECK(backend::path() == before);
}

TEST_CASE("the avx512 path is refused where the CPU lacks it", "[backend]") {
  if (backend::has_avx512()) {
    CHECK_NOTHROW(PathGuard(Path::avx512));
  } else {
    CHECK_THROWS_AS(backend::use_path(Path::avx512), Error);
  }
}

TEST_CASE("emulated bf16 rounds and multiplies like the instructions", "[backend]") {
  if (!backend::has_avx512_bf16()) {
    SUCCEED("skipped: this CPU has no AVX512_BF16");
    return;
  }
  namespace cpu = backend::cpu;
  const auto data = [](const Tensor& x) { return static_cast<cpu::Bf16*>(x.data_ptr()); };
  const Tensor x = (normal({13, 100}, 1) * 3).to(at::kBFloat16), y = at::empty_like(x);
  const Tensor want = at::empty_like(x);
  cpu::bf16_avx512.gelu_forward(data(x), data(y), x.numel());
  cpu::bf16_avx512bf16.gelu_forward(data(x), data(want), x.numel());
  CHECK(at::equal(y, want));
  const Tensor b = normal({37, 100}, 2).to(at::kBFloat16);
  const Tensor packed = at::empty({cpu::packed_size(100, 37)}, b.options());
  const Tensor c = at::empty({13, 37}),
               exact = at::matmul(x.to(at::kDouble), b.to(at::kDouble).t());
  for (const auto* kernels : {&cpu::bf16_avx512, &cpu::bf16_avx512bf16}) {
    kernels->pack({data(b), 1, 100, 100, 37, data(packed)});
    kernels->gemm_float(
        {data(x), 100, 1, data(packed), {c.data_ptr<float>(), 37}, 13, 37, 100, nullptr, false});
    CHECK(relative_error(c, exact) <= 1e-5);
  }
}

TEST_CASE("every shard runs once, in threads of its own, with the caller's grad mode",
          "[backend]") {
  backend::ShardPool pool(3);
  CHECK(pool.threads() == 3);
  const int before = at::get_num_threads();
  for (const bool graph : {true, false, true}) {
    at::AutoGradMode mode(graph);
    std::vector<int> calls(3), threads(3), modes(3);
    std::vector<std::thread::id> ids(3);
    pool.run([&](int shard) {
      const auto i = static_cast<size_t>(shard);
      ++calls[i];
      threads[i] = at::get_num_threads();
      modes[i] = at::GradMode::is_enabled();
      ids[i] = std::this_thread::get_id();
    });
    CHECK(calls == std::vector<int>{1, 1, 1});
    CHECK(threads == std::vector<int>{1, 1, 1});
    CHECK(modes == std::vector<int>(3, graph));
    CHECK(ids[0] == std::this_thread::get_id());
    CHECK((ids[1] != ids[0] && ids[2] != ids[0] && ids[1] != ids[2]));
  }
  CHECK(at::get_num_threads() == before);
}

TEST_CASE("the exception of the lowest shard reaches the caller", "[backend]") {
  backend::ShardPool pool(3);
  const auto run = [&] {
    pool.run([](int shard) {
      if (shard > 0) throw std::runtime_error("shard " + std::to_string(shard));
    });
  };
  CHECK_THROWS_WITH(run(), "shard 1");
  std::atomic<int> calls = 0;
  pool.run([&](int) { ++calls; });
  CHECK(calls == 3);
}

TEST_CASE("a pool that the system has no room for is an error", "[backend]") {
  const LittleRoom room;
  CHECK_THROWS_AS(backend::ShardPool(4000), Error);
}

TEST_CASE("shards in parallel compute what they compute alone", "[backend]") {
  const Tensor weight = normal({96, 32}, 1) * 0.2, bias = normal({96}, 2);
  const backend::PackedWeight packed(weight);
  const auto shard_results = [&](int shard) {
    const Tensor x = normal({40 + shard, 32}, static_cast<uint64_t>(shard)).requires_grad_();
    const backend::Dropout dropout{0.1, 3, identities(40 + shard, shard)};
    return output_and_gradients({x}, [&](const std::vector<Tensor>& in) {
      const Tensor qkv = backend::linear(in[0], packed, bias);
      const Tensor y = backend::self_attention(qkv, packing_of({17, 23}), {2, 0.25}, dropout);
      return backend::gelu(backend::dropout(y, dropout));
    });
  };
  backend::ShardPool pool(2);
  std::vector<std::vector<Tensor>> together(2);
  pool.run([&](int shard) {
    for (int round = 0; round < 20; ++round)
      together[static_cast<size_t>(shard)] = shard_results(shard);
  });
  for (int shard = 0; shard < 2; ++shard) {
    const auto alone = shard_results(shard);
    for (size_t i = 0; i < alone.size(); ++i)
      CHECK(at::equal(alone[i], together[static_cast<size_t>(shard)][i]));
  }
}

TEST_CASE("fused AdamW follows its equations", "[backend]") {
  const backend::AdamW rule{0.01, 0.9, 0.99, 1e-8, 0.1};
  const auto zeros = [] { return std::vector<Tensor>{at::zeros({5}), at::zeros({2, 3})}; };
  backend::AdamWState state{{normal({5}, 1), normal({2, 3}, 2)},
                            zeros(),
                            zeros(),
                            zeros(),
                            {at::zeros({}), at::zeros({})}};
  std::vector<Tensor> want, m(2), v(2);
  for (const Tensor& x : state.params) want.push_back(x.to(at::kDouble));
  for (size_t i = 0; i < 2; ++i) m[i] = v[i] = at::zeros_like(want[i]);
  for (int step = 1; step <= 3; ++step) {
    for (size_t i = 0; i < 2; ++i) {
      state.grads[i] = normal(want[i].sizes(), static_cast<uint64_t>(10 * step) + i);
      const Tensor g = state.grads[i].to(at::kDouble);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.99 * v[i] + 0.01 * g * g;
      const Tensor first = m[i] / (1 - std::pow(0.9, step));
      const Tensor second = v[i] / (1 - std::pow(0.99, step));
      want[i] = want[i] * (1 - 0.01 * 0.1) - 0.01 * first / (second.sqrt() + 1e-8);
    }
    backend::fused_adamw(state, rule);
  }
  for (size_t i = 0; i < 2; ++i) CHECK(relative_error(state.params[i], want[i]) <= 1e-6);
  CHECK(state.steps[0].item<float>() == 3);
}

TEST_CASE("fused AdamW is left out where the device says so", "[backend]") {
  const backend::AdamW rule{0.01, 0.9, 0.99, 1e-8, 0.1};
  const auto fresh = [] {
    return backend::AdamWState{
        {at::ones({5})}, {normal({5}, 3)}, {at::zeros({5})}, {at::zeros({5})}, {at::zeros({})}};
  };
  backend::AdamWState plain = fresh(), goes = fresh(), skipped = fresh();
  for (int step = 0; step < 2; ++step) {
    backend::fused_adamw(plain, rule);
    backend::fused_adamw(goes, rule, at::zeros({}));
    backend::fused_adamw(skipped, rule, at::ones({}));
  }
  CHECK(at::equal(goes.params[0], plain.params[0]));
  CHECK(goes.steps[0].item<float>() == 2);
  CHECK(at::equal(skipped.params[0], at::ones({5})));
  CHECK(!skipped.exp_avg[0].any().item<bool>());
  CHECK(skipped.steps[0].item<float>() == 0);
}

TEST_CASE("clipping is the same bits whether the CPU knows the norm or not", "[backend]") {
  for (int i = 0; i < 2000; ++i) {
    const float norm = std::exp(normal({1}, static_cast<uint64_t>(i)).item<float>());
    const auto want = static_cast<float>(backend::clip_factor(norm, 0.7));
    CHECK(backend::clip_factor(at::scalar_tensor(norm), 0.7).item<float>() == want);
  }
  CHECK(backend::clip_factor(0.5, 0.7) == 1);
  CHECK(backend::clip_factor(1.4, 0.7) == Approx(0.5).epsilon(1e-5));
}

TEST_CASE("the gradient norm is that of all gradients together", "[backend]") {
  const std::vector<Tensor> grads{at::full({3}, 2.0), at::full({1}, 2.0)};
  CHECK(backend::gradient_norm(grads).item<double>() == Approx(4));
  backend::scale_(grads, 0.5);
  CHECK(backend::gradient_norm(grads).item<double>() == Approx(2));
  CHECK(backend::gradient_norm({}).item<double>() == 0);
}
