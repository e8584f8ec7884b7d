// The emulated device's graphs keep and lose what a device's do.
#include "tests/emulator/recorder.h"

#include <map>

#include "lib/backend/cuda/runtime.h"
#include "lib/backend/disentangled_ops.h"
#include "lib/backend/ops.h"
#include "lib/nn/linear.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

using backend::cuda::Graph, backend::cuda::GraphMemory;

Tensor numbers(const std::vector<float>& values) {
  return at::tensor(values);
}

}  // namespace

TEST_CASE("replayed work reads its tensors anew, and the CPU's numbers as they were",
          "[emulator]") {
  const GraphMemory memory;
  const Tensor x = numbers({1, 2});
  double factor = 10;
  Tensor sum, cat;
  Graph graph;
  graph.capture(memory, [&] {
    sum = (x * factor + at::arange(2)).sum();
    cat = at::cat({x, x.slice(0, 1)});
  });
  CHECK(sum.isnan().item<bool>());  // nothing is done yet
  x.copy_(numbers({3, 4}));
  factor = 100;
  graph.replay();
  CHECK(sum.item<float>() == 71);
  CHECK(at::equal(cat, numbers({3, 4, 4})));
}

TEST_CASE("gradients and kernels are replayed", "[emulator]") {
  const GraphMemory memory;
  const Tensor w = normal({32}, 1).requires_grad_(), x = normal({8, 32}, 2), rows = identities(8),
               key = at::zeros({1}, at::kLong);
  const auto work = [&] {
    const backend::Dropout dropout{0.5, 0, rows, key, 3};
    const Tensor y = backend::dropout(x * w, dropout).tanh().sum();
    return torch::autograd::grad({y}, {w})[0];
  };
  Tensor recorded;
  Graph graph;
  graph.capture(memory, [&] { recorded = work(); });
  for (int64_t step = 0; step < 3; ++step) {
    const at::NoGradGuard no_grad;
    key.fill_(step);
    w.add_(0.5);
    graph.replay();
    const at::AutoGradMode with_gradients(true);
    CHECK(at::equal(recorded, work()));
    CHECK(recorded.abs().max().item<float>() > 0);
  }
}

TEST_CASE("what another graph of the same memory left is gone", "[emulator]") {
  const GraphMemory memory, own;
  const Tensor x = numbers({1, 2});
  Tensor one, two, three;
  Graph first, second, third;
  first.capture(memory, [&] { one = x + 1; });
  second.capture(memory, [&] { two = x + 2; });
  third.capture(own, [&] { three = x + 3; });
  first.replay();
  third.replay();
  CHECK(at::equal(one, numbers({2, 3})));
  second.replay();
  CHECK(at::equal(two, numbers({3, 4})));
  CHECK(one.isnan().all().item<bool>());
  CHECK(at::equal(three, numbers({4, 5})));
}

TEST_CASE("what a device cannot record is refused, or is missed", "[emulator]") {
  const GraphMemory memory;
  const Tensor x = numbers({1, 2});
  Graph graph;
  CHECK_THROWS_AS(graph.capture(memory, [&] { x.sum().item<float>(); }), c10::Error);
  // what the CPU writes there itself
  Tensor y;
  Graph other;
  other.capture(memory, [&] {
    const Tensor written = at::empty({2});
    written.data_ptr<float>()[0] = written.data_ptr<float>()[1] = 5;
    y = x + written;
  });
  other.replay();
  CHECK(y.isnan().all().item<bool>());
  // and other work after a refusal is not recorded
  CHECK(x.sum().item<float>() == 3);
}

TEST_CASE("a settled layer asks a device for its product alone", "[emulator]") {
  const at::NoGradGuard no_grad;
  Linear layer(LinearShape{32, 48}, std::vector<std::string>{"query", "key", "value"});
  for (const Tensor& t : {layer->weight, layer->bias}) t.normal_().requires_grad_(false);
  layer->weight.set_data(layer->weight.to(at::kBFloat16));
  layer->settle();
  const Tensor x = normal({8, 32}, 1).to(at::kBFloat16);
  for (const size_t last : {size_t{3}, size_t{2}}) {  // all, and the queries and keys
    emulator::Recording recording;
    recording.record([&] { layer->forward_parts(x, 0, last, {}); });
    CHECK(recording.names() == std::vector<std::string>{"aten::addmm"});
  }
}

TEST_CASE("a low-rank change asks a device for its factors' type at once, and for products",
          "[emulator]") {
  const auto bf16 = [](const Tensor& t) { return t.to(at::kBFloat16); };
  const Tensor x = bf16(normal({8, 32}, 1)).requires_grad_(), weight = bf16(normal({48, 32}, 2)),
               bias = bf16(normal({48}, 3)), a = normal({4, 32}, 4).requires_grad_(),
               b = normal({16, 4}, 5).requires_grad_(), c = normal({4, 32}, 6).requires_grad_(),
               d = normal({16, 4}, 7).requires_grad_();
  const backend::LowRank change{{a, c}, {{0, 16, 0, 4, b}, {32, 48, 4, 8, d}}, {}, 2.0};
  const Tensor dy = bf16(normal({8, 48}, 8));
  emulator::Recording forward, backward;
  Tensor y;
  forward.record([&] { y = backend::linear_low_rank(x, weight, bias, change); });
  CHECK(forward.names() ==
        std::vector<std::string>{"grid", "aten::addmm", "aten::addmm_", "aten::addmm_"});
  backward.record([&] { torch::autograd::grad({y}, {x, a, b, c, d}, {dy}); });
  std::vector<std::string> names = backward.names();
  std::erase(names, "aten::_to_copy");  // of products with an fp32 result, which a device has
  CHECK(names == std::vector<std::string>{"aten::addmm_", "aten::mm", "aten::addmm_", "aten::mm",
                                          "aten::bmm"});
}

TEST_CASE("gradients of a norm's two readers are added by the norm", "[emulator]") {
  const Tensor x = normal({8, 32}, 1).requires_grad_(), residual = normal({8, 32}, 2),
               slope = normal({8, 32}, 3);
  const auto [into, around] =
      backend::dropout_add_norm(x, residual, {at::ones({32}), at::zeros({32}), 1e-5}, {});
  emulator::Recording backward;
  backward.record([&] { torch::autograd::grad({into, around}, {x}, {slope, slope}); });
  CHECK(backward.names() == std::vector<std::string>{"grid"});
}

TEST_CASE("gradients of disentangled attention are written where they are wanted", "[emulator]") {
  const Packing packing = packing_of({9, 3});
  const Tensor qkv = normal({12, 96}, 1).to(at::kBFloat16).requires_grad_(),
               slope = normal({12, 32}, 3).to(at::kBFloat16);
  auto row_of = std::make_shared<std::vector<int32_t>>();
  for (int32_t i = 0; i < 17; ++i) row_of->push_back(i);
  for (const int64_t table : {17, 200000}) {  // 2 · 12 · 200,000 scores are not kept
    const Tensor rows = normal({table, 64}, 2).to(at::kBFloat16).requires_grad_();
    const auto [query, key] = backend::column_halves(rows);
    const Tensor y =
        backend::disentangled_attention(qkv, {query, key, row_of}, packing, {2, 0.2}, {});
    emulator::Recording backward;
    backward.record([&] { torch::autograd::grad({y}, {qkv, rows}, {slope}); });
    std::map<std::string, int> count;
    for (const std::string& name : backward.names()) ++count[name];
    CHECK(count["aten::zeros"] == 1);
    CHECK(count["aten::bmm"] == (table == 17 ? 4 : 6));
    CHECK(count["aten::add_"] == 1);
    for (const char* copies : {"aten::clone", "aten::cat", "aten::slice_backward", "aten::add"})
      CHECK(count[copies] == 0);
  }
}
