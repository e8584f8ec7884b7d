#include <atomic>
#include <stdexcept>
#include <thread>

#include "lib/backend/cpu/kernels.h"
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

TEST_CASE("matrix tiles multiply as a row's products one after the other do", "[backend]") {
  if (!backend::has_amx_bf16()) {
    SUCCEED("skipped: this CPU has no AMX_BF16");
    return;
  }
  namespace cpu = backend::cpu;
  const cpu::Kernels<cpu::Bf16> tiles = cpu::with_tiles(cpu::bf16_avx512bf16);
  const auto data = [](const Tensor& x) { return static_cast<cpu::Bf16*>(x.data_ptr()); };
  for (const int64_t rows : {1, 16, 17, 31, 32, 33, 64, 81, 513, 600})
    for (const int64_t depth : {1, 8, 31, 32, 33, 384, 1100})
      for (const int64_t columns : {1, 16, 17, 32, 48, 70}) {
        CAPTURE(rows, depth, columns);
        const Tensor a = normal({rows, depth}, 1).to(at::kBFloat16);
        const Tensor b = normal({depth, columns}, 2).to(at::kBFloat16);
        const Tensor bias = normal({columns}, 3),
                     packed = at::full({cpu::packed_size(depth, columns)}, NAN, b.options());
        tiles.pack({data(b), columns, 1, depth, columns, data(packed)});
        const Tensor exact = at::matmul(a.to(at::kDouble), b.to(at::kDouble));
        const Tensor c = at::full({rows, columns + 1}, 7.0F), rounded = c.to(at::kBFloat16);
        const auto product = [&](const Tensor& to, auto kernel, auto* out, const float* shift,
                                 bool accumulate) {
          kernel({data(a),
                  depth,
                  1,
                  data(packed),
                  {out, columns + 1},
                  rows,
                  columns,
                  depth,
                  shift,
                  accumulate});
          CHECK((to.select(1, columns) == 7.0F).all().item<bool>());
          return to.narrow(1, 0, columns).clone();
        };
        auto* single = c.data_ptr<float>();
        CHECK(relative_error(product(c, tiles.gemm_float, single, bias.data_ptr<float>(), false),
                             exact + bias) <= 1e-5);
        CHECK(relative_error(product(c, tiles.gemm_float, single, nullptr, true),
                             exact * 2 + bias) <= 1e-5);
        CHECK(relative_error(product(rounded, tiles.gemm, data(rounded), nullptr, false), exact) <=
              1e-2);
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
