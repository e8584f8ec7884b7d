#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

constexpr int64_t heads = 2;

Operation self_attention(const Packing& packing, const backend::Dropout& dropout, double scale) {
  return [=](const std::vector<Tensor>& in) {
    return backend::self_attention(in[0], packing, {heads, scale}, dropout);
  };
}

const std::vector<std::vector<int32_t>> layouts{
    {1},
    {2},
    {13},
    {16},
    {17},
    {32},
    {33},
    {48},
    {1, 1, 1},
    {5, 31, 16},
    {512},
    {200, 1, 65},
    {3, 7, 9, 11, 130, 2},
    {64},
    {15, 1, 14},
    {100, 28},
    {47, 511},
    {8, 24, 40, 9},
};

}  // namespace

TEST_CASE("self-attention has the plain path's values and gradients", "[backend]") {
  uint64_t seed = 0;
  for (const auto& lengths : layouts) {
    const Packing packing = packing_of(lengths);
    const int64_t head = std::vector<int64_t>{32, 64, 16, 48, 80, 128}[++seed % 6];
    const int64_t tokens = tokens_of(packing) + static_cast<int64_t>(seed % 3);  // some filler
    const Tensor qkv = normal({tokens, 3 * heads * head}, seed).requires_grad_();
    const backend::Dropout dropout{seed % 2 ? 0.1 : 0.0, seed, identities(tokens)};
    INFO("layout " << seed << ", head " << head);
    compare_both({qkv}, self_attention(packing, dropout, 0.2));
  }
}

TEST_CASE("pooled attention has the plain path's values and gradients", "[backend]") {
  uint64_t seed = 50;
  for (const auto& lengths : layouts) {
    const Packing packing = packing_of(lengths);
    const int64_t head = ++seed % 2 ? 32 : 64, tokens = tokens_of(packing) + 3;
    const auto sequences = static_cast<int64_t>(lengths.size());
    const Tensor q = normal({sequences, heads * head}, seed).requires_grad_();
    const Tensor kv = normal({tokens, 2 * heads * head}, seed + 1).requires_grad_();
    const backend::Dropout dropout{0.1, seed, identities(sequences)};
    compare_both({q, kv}, [&](const std::vector<Tensor>& in) {
      return backend::pooled_attention(in[0], in[1], packing, {heads, 0.2}, dropout);
    });
  }
}

TEST_CASE("pooled attention is one row of self-attention", "[backend]") {
  const Packing packing = packing_of({7, 20, 1});
  const Tensor qkv = normal({28, 192}, 3);
  const Tensor first = at::tensor({0, 7, 27}, at::kLong);
  const Tensor rows = identities(28);
  const Tensor all = backend::self_attention(qkv, packing, {heads, 0.2}, {0.1, 5, rows});
  const Tensor pooled =
      backend::pooled_attention(qkv.narrow(1, 0, 64).index_select(0, first), qkv.narrow(1, 64, 128),
                                packing, {heads, 0.2}, {0.1, 5, rows.index_select(0, first)});
  CHECK(relative_error(pooled, all.index_select(0, first).to(at::kDouble)) <= 1e-6);
}

TEST_CASE("a sequence's attention does not depend on its neighbours", "[backend]") {
  const Tensor qkv = normal({30, 192}, 8), rows = identities(30);
  const backend::AttentionShape shape{heads, 0.2};
  const Tensor alone = backend::self_attention(qkv.narrow(0, 9, 12), packing_of({12}), shape,
                                               {0.2, 4, rows.narrow(0, 9, 12).contiguous()});
  const Tensor among = backend::self_attention(qkv, packing_of({9, 12, 9}), shape, {0.2, 4, rows});
  CHECK(at::equal(alone, among.narrow(0, 9, 12)));
}

TEST_CASE("filler rows give zeros and get no gradient", "[backend]") {
  for (const Path path : {Path::plain, backend::path()}) {
    const PathGuard guard(path);
    Tensor qkv = normal({9, 192}, 8);
    qkv.narrow(0, 5, 4).fill_(std::numeric_limits<float>::quiet_NaN());
    qkv.requires_grad_();
    const Tensor y = backend::self_attention(qkv, packing_of({2, 3}), {heads, 0.2}, {});
    y.sum().backward();
    CHECK(at::equal(y.narrow(0, 5, 4), at::zeros({4, 64})));
    CHECK(at::equal(qkv.grad().narrow(0, 5, 4), at::zeros({4, 192})));
    CHECK(at::isfinite(y).all().item<bool>());
    CHECK(at::isfinite(qkv.grad()).all().item<bool>());
  }
}

TEST_CASE("large scores stay finite and right", "[backend]") {
  for (const double size : {1e4, -1e4}) {
    const Packing packing = packing_of({1, 21, 40});
    // Scores near ±size that differ by whole numbers, which fp32 holds exactly.
    Tensor qkv = at::zeros({62, 192});
    qkv.narrow(1, 0, 1).fill_(size);
    qkv.narrow(1, 32, 1).fill_(1);
    qkv.narrow(1, 64, 1).fill_(1);
    qkv.narrow(1, 65, 1).copy_(at::arange(62).remainder(5).unsqueeze(1));
    qkv.narrow(1, 1, 1).fill_(1);
    qkv.narrow(1, 96, 32).copy_(at::arange(62).remainder(7).unsqueeze(1).expand({62, 32}));
    qkv.narrow(1, 128, 64).copy_(normal({62, 64}, 4));
    compare({qkv.requires_grad_()}, self_attention(packing, {}, 1.0), at::kFloat);
  }
}

TEST_CASE("attention takes rows of any stride", "[backend]") {
  const Packing packing = packing_of({5, 11});
  const Tensor wide = normal({16, 300}, 8).requires_grad_();
  compare_both({wide}, [&](const std::vector<Tensor>& in) {
    return backend::self_attention(in[0].narrow(1, 40, 192), packing, {heads, 0.2}, {});
  });
  const Tensor turned = normal({192, 16}, 9).requires_grad_();
  compare_both({turned}, [&](const std::vector<Tensor>& in) {
    return backend::self_attention(in[0].t(), packing, {heads, 0.2}, {});
  });
}

TEST_CASE("heads of other sizes take the plain path", "[backend]") {
  const Packing packing = packing_of({5, 11});
  for (const int64_t head : {8, 20, 144}) {
    const Tensor qkv = normal({16, 3 * heads * head}, 8).requires_grad_();
    compare({qkv}, self_attention(packing, {}, 0.2), at::kFloat);
  }
}

TEST_CASE("without gradients attention keeps nothing", "[backend]") {
  const Tensor qkv = normal({5, 192}, 8);
  CHECK_FALSE(backend::self_attention(qkv, packing_of({5}), {heads, 0.2}, {}).grad_fn() != nullptr);
  const Tensor trained = qkv.clone().requires_grad_();
  at::NoGradGuard none;
  CHECK_FALSE(backend::self_attention(trained, packing_of({5}), {heads, 0.2}, {}).requires_grad());
}
