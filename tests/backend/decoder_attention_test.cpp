#include "lib/backend/cpu/decoder_kernels.h"
#include "lib/backend/decoder_ops.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;
using backend::CausalShape;

namespace {

const std::vector<CausalShape> shapes{{9, 3, 0.125}, {4, 4, 0.2}, {5, 1, 0.2}, {6, 3, 0.2}};

const std::vector<std::vector<int32_t>> layouts{
    {1},         {2},          {15},        {16},  {17},         {32},
    {33},        {1, 1, 1},    {5, 31, 16}, {512}, {200, 1, 65}, {3, 7, 9, 11, 130, 2},
    {15, 1, 14}, {63, 75, 20}, {47, 311},
};

int64_t columns_of(const CausalShape& shape, int64_t head) {
  return (shape.heads + 2 * shape.kv_heads) * head;
}

Operation causal(const Packing& packing, const backend::Dropout& dropout,
                 const CausalShape& shape) {
  return [=](const std::vector<Tensor>& in) {
    return backend::causal_attention(in[0], packing, shape, dropout);
  };
}

/// q, k and v of the same width: key/value heads repeated for their query heads.
Tensor ungrouped(const Tensor& qkv, const CausalShape& shape) {
  const Tensor heads = qkv.reshape({qkv.size(0), shape.heads + 2 * shape.kv_heads, -1});
  const auto repeated = [&](int64_t first) {
    return heads.narrow(1, first, shape.kv_heads)
        .repeat_interleave(shape.heads / shape.kv_heads, 1);
  };
  return at::cat({heads.narrow(1, 0, shape.heads), repeated(shape.heads),
                  repeated(shape.heads + shape.kv_heads)},
                 1)
      .reshape({qkv.size(0), -1});
}

}  // namespace

TEST_CASE("causal attention has the plain path's values and gradients", "[backend]") {
  uint64_t seed = 0;
  for (const auto& lengths : layouts) {
    const Packing packing = packing_of(lengths);
    const CausalShape shape = shapes[++seed % shapes.size()];
    const int64_t head = std::vector<int64_t>{64, 32, 128, 16, 48}[seed % 5];
    const int64_t tokens = tokens_of(packing) + static_cast<int64_t>(seed % 3);  // some filler
    const Tensor qkv = normal({tokens, columns_of(shape, head)}, seed).requires_grad_();
    const backend::Dropout dropout{seed % 2 ? 0.1 : 0.0, seed, identities(tokens)};
    INFO("layout " << seed << ", heads " << shape.heads << ", head " << head);
    compare_both({qkv}, causal(packing, dropout, shape));
  }
}

TEST_CASE("a row of causal attention is pooled attention of what came before", "[backend]") {
  const Tensor rows = identities(37);
  for (const Path path : {Path::plain, backend::path()})
    for (const CausalShape& shape : shapes) {
      const PathGuard guard(path);
      const Tensor qkv = normal({37, columns_of(shape, 32)}, 4);
      const Tensor all = backend::causal_attention(qkv, packing_of({37}), shape, {0.1, 5, rows});
      const Tensor wide = ungrouped(qkv, shape);
      const int64_t width = shape.heads * 32;
      for (const int64_t at : {0, 1, 16, 30, 36}) {
        const Tensor past = wide.narrow(0, 0, at + 1);
        const Tensor one = backend::pooled_attention(
            past.narrow(0, at, 1).narrow(1, 0, width), past.narrow(1, width, 2 * width),
            packing_of({static_cast<int32_t>(at + 1)}), {shape.heads, shape.scale},
            {0.1, 5, rows.narrow(0, at, 1).contiguous()});
        CHECK(relative_error(one, all.narrow(0, at, 1).to(at::kDouble)) <= 1e-6);
      }
    }
}

TEST_CASE("the future changes nothing, bit for bit", "[backend]") {
  const CausalShape shape = shapes[0];
  Tensor qkv = normal({50, columns_of(shape, 64)}, 6);
  const Tensor before = backend::causal_attention(qkv, packing_of({50}), shape, {});
  qkv.narrow(0, 21, 29).mul_(-3);
  const Tensor after = backend::causal_attention(qkv, packing_of({50}), shape, {});
  CHECK(at::equal(before.narrow(0, 0, 21), after.narrow(0, 0, 21)));
  CHECK_FALSE(at::equal(before.narrow(0, 21, 29), after.narrow(0, 21, 29)));
}

TEST_CASE("a sequence's causal attention does not depend on its neighbours", "[backend]") {
  const CausalShape shape = shapes[0];
  const Tensor qkv = normal({45, columns_of(shape, 32)}, 8), rows = identities(45);
  const Tensor alone = backend::causal_attention(qkv.narrow(0, 9, 27), packing_of({27}), shape,
                                                 {0.2, 4, rows.narrow(0, 9, 27).contiguous()});
  const Tensor among =
      backend::causal_attention(qkv, packing_of({9, 27, 9}), shape, {0.2, 4, rows});
  CHECK(at::equal(alone, among.narrow(0, 9, 27)));
}

TEST_CASE("filler rows of causal attention give zeros and get no gradient", "[backend]") {
  const CausalShape shape = shapes[0];
  for (const Path path : {Path::plain, backend::path()}) {
    const PathGuard guard(path);
    const int64_t columns = columns_of(shape, 32);
    Tensor qkv = normal({9, columns}, 8);
    qkv.narrow(0, 5, 4).fill_(std::numeric_limits<float>::quiet_NaN());
    qkv.requires_grad_();
    const Tensor y = backend::causal_attention(qkv, packing_of({2, 3}), shape, {});
    y.sum().backward();
    CHECK(at::equal(y.narrow(0, 5, 4), at::zeros({4, shape.heads * 32})));
    CHECK(at::equal(qkv.grad().narrow(0, 5, 4), at::zeros({4, columns})));
    CHECK(at::isfinite(y).all().item<bool>());
    CHECK(at::isfinite(qkv.grad()).all().item<bool>());
  }
}

TEST_CASE("causal attention takes rows of any stride", "[backend]") {
  const CausalShape shape{2, 1, 0.2};
  const Packing packing = packing_of({5, 21});
  const Tensor wide = normal({26, 300}, 8).requires_grad_();
  compare_both({wide}, [&](const std::vector<Tensor>& in) {
    return backend::causal_attention(in[0].narrow(1, 40, 128), packing, shape, {});
  });
  const Tensor turned = normal({128, 26}, 9).requires_grad_();
  compare_both({turned}, [&](const std::vector<Tensor>& in) {
    return backend::causal_attention(in[0].t(), packing, shape, {});
  });
}

TEST_CASE("causal heads of other sizes take the plain path", "[backend]") {
  const CausalShape shape{4, 2, 0.2};
  for (const int64_t head : {8, 20, 144}) {
    const Tensor qkv = normal({16, columns_of(shape, head)}, 8).requires_grad_();
    compare({qkv}, causal(packing_of({5, 11}), {}, shape), at::kFloat);
  }
}

TEST_CASE("without gradients causal attention keeps nothing", "[backend]") {
  const CausalShape shape{4, 2, 0.2};
  const Tensor qkv = normal({5, columns_of(shape, 32)}, 8).requires_grad_();
  CHECK(backend::causal_attention(qkv, packing_of({5}), shape, {}).requires_grad());
  const at::NoGradGuard none;
  CHECK_FALSE(backend::causal_attention(qkv, packing_of({5}), shape, {}).requires_grad());
}

TEST_CASE("emulated bf16 attends causally like the instructions", "[backend]") {
  if (!backend::has_avx512_bf16()) {
    SUCCEED("skipped: this CPU has no AVX512_BF16");
    return;
  }
  namespace cpu = backend::cpu;
  const int64_t tokens = 21;
  const cpu::HeadGroups heads{4, 2, 32};
  const auto rows = [](const Tensor& x) {
    return cpu::Rows<cpu::Bf16>{static_cast<cpu::Bf16*>(x.data_ptr()), x.stride(0)};
  };
  const auto constant = [&](const Tensor& x) {
    return cpu::Rows<const cpu::Bf16>{rows(x).data, x.stride(0)};
  };
  const Tensor qkv = normal({tokens, heads.columns()}, 1).to(at::kBFloat16);
  const Tensor dout = normal({tokens, heads.width()}, 2).to(at::kBFloat16);
  std::vector<float> memory(static_cast<size_t>(cpu::causal_scratch(tokens, heads)));
  const auto run = [&](const cpu::DecoderKernels<cpu::Bf16>& kernels) {
    const Tensor out = at::empty_like(dout), dqkv = at::empty_like(qkv);
    std::vector<float> statistics(static_cast<size_t>(tokens * heads.heads * 2));
    kernels.causal_forward(
        {constant(qkv), rows(out), statistics.data(), tokens, heads, 0.2F, {}, memory.data()});
    kernels.causal_backward({constant(qkv),
                             constant(dout),
                             rows(dqkv),
                             statistics.data(),
                             tokens,
                             heads,
                             0.2F,
                             {},
                             memory.data()});
    return at::cat({out, dqkv}, 1);
  };
  CHECK(at::equal(run(cpu::bf16_decoder_avx512), run(cpu::bf16_decoder_avx512bf16)));
}
