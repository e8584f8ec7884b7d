#include "lib/backend/disentangled_ops.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

using backend::RelativePositions;

constexpr int64_t heads = 2;
constexpr double scale = 0.12;

/// Which row each distance up to `reach` reads.
using Rows = std::shared_ptr<const std::vector<int32_t>>;

/// Near distances have a row of their own, those from `near` on share rows in pairs, and from
/// `limit` on all share the last: as log buckets do, in miniature.
Rows bucketed(int32_t reach, int32_t near, int32_t limit) {
  auto rows = std::make_shared<std::vector<int32_t>>();
  for (int32_t d = 1 - reach; d < reach; ++d) {
    const int32_t far = std::min(std::abs(d), limit);
    const int32_t size = far < near ? far : near + (far - near) / 2;
    rows->push_back(d < 0 ? limit - size : limit + size);
  }
  return rows;
}

int64_t rows_of(const Rows& rows) {
  return *std::max_element(rows->begin(), rows->end()) + 1;
}

const std::vector<std::vector<int32_t>> layouts{
    {1},
    {2},
    {13},
    {16},
    {17},
    {31, 32, 33},
    {1, 1, 1},
    {5, 31, 16},
    {512},
    {200, 1, 65},
    {3, 7, 9, 11, 130, 2},
    {15, 1, 14},
    {47, 300},
    {8, 24, 40, 9},
};

/// Whether the position tables stand for queries, keys, both or none.
struct Terms {
  bool query, key;
};

const std::vector<Terms> all_terms{{true, true}, {true, false}, {false, true}, {false, false}};

RelativePositions positions_of(const Terms& terms, const Tensor& query, const Tensor& key,
                               const Rows& rows) {
  return {terms.query ? query : Tensor(), terms.key ? key : Tensor(), rows};
}

/// Only what takes part in the result is differentiated.
Tensor input(at::IntArrayRef sizes, uint64_t seed, bool is_used = true) {
  return normal(sizes, seed).requires_grad_(is_used);
}

}  // namespace

TEST_CASE("disentangled attention has the plain path's values and gradients", "[backend]") {
  uint64_t seed = 200;
  for (const auto& lengths : layouts) {
    const Packing packing = packing_of(lengths);
    const int64_t head = std::vector<int64_t>{32, 64, 16, 48, 80, 128}[++seed % 6];
    const int64_t tokens = tokens_of(packing) + static_cast<int64_t>(seed % 3);  // some filler
    const auto reach = static_cast<int32_t>(packing.longest + static_cast<int64_t>(seed % 2) * 5);
    const Rows rows = bucketed(reach, 4, 21);  // sequences are longer than the limit
    const Terms terms = all_terms[seed % all_terms.size()];
    const Tensor qkv = input({tokens, 3 * heads * head}, seed);
    const Tensor query = input({rows_of(rows), heads * head}, seed + 1, terms.query);
    const Tensor key = input({rows_of(rows), heads * head}, seed + 2, terms.key);
    const backend::Dropout dropout{seed % 2 ? 0.1 : 0.0, seed, identities(tokens)};
    INFO("layout " << seed << ", head " << head << ", terms " << terms.query << terms.key);
    compare_both({qkv, query, key}, [&](const std::vector<Tensor>& in) {
      return backend::disentangled_attention(in[0], positions_of(terms, in[1], in[2], rows),
                                             packing, {heads, scale}, dropout);
    });
  }
}

TEST_CASE("pooled disentangled attention has the plain path's values and gradients", "[backend]") {
  uint64_t seed = 300;
  for (const auto& lengths : layouts) {
    const Packing packing = packing_of(lengths);
    const int64_t head = ++seed % 2 ? 32 : 64, tokens = tokens_of(packing) + 3;
    const auto sequences = static_cast<int64_t>(lengths.size());
    const Rows rows = bucketed(static_cast<int32_t>(packing.longest), 4, 21);
    const Terms terms = all_terms[seed % all_terms.size()];
    const Tensor q = input({sequences, heads * head}, seed);
    const Tensor kv = input({tokens, 2 * heads * head}, seed + 1);
    const Tensor query = input({rows_of(rows), heads * head}, seed + 2, terms.query);
    const Tensor key = input({rows_of(rows), heads * head}, seed + 3, terms.key);
    const backend::Dropout dropout{0.1, seed, identities(sequences)};
    INFO("layout " << seed << ", head " << head << ", terms " << terms.query << terms.key);
    compare_both({q, kv, query, key}, [&](const std::vector<Tensor>& in) {
      return backend::disentangled_pooled_attention(
          in[0], in[1], positions_of(terms, in[2], in[3], rows), packing, {heads, scale}, dropout);
    });
  }
}

TEST_CASE("query and key rows may have been projected together", "[backend]") {
  const Packing packing = packing_of({7, 20, 1});
  const Rows rows = bucketed(20, 6, 21);
  const Tensor table = input({rows_of(rows), 2 * heads * 32}, 4);
  const auto positions = [&](const Tensor& both) {
    const auto [query, key] = backend::column_halves(both);
    return RelativePositions{query, key, rows};
  };
  compare_both({input({30, 3 * heads * 32}, 5), table}, [&](const std::vector<Tensor>& in) {
    return backend::disentangled_attention(in[0], positions(in[1]), packing, {heads, scale}, {});
  });
  compare_both({input({3, heads * 32}, 6), input({30, 2 * heads * 32}, 7), table},
               [&](const std::vector<Tensor>& in) {
                 return backend::disentangled_pooled_attention(in[0], in[1], positions(in[2]),
                                                               packing, {heads, scale}, {});
               });
  // gradients that do not lie side by side, and one alone
  compare_both({table}, [](const std::vector<Tensor>& in) {
    const auto [left, right] = backend::column_halves(in[0]);
    return left * 2 - right * 3;
  });
  compare_both({table}, [](const std::vector<Tensor>& in) {
    return backend::column_halves(in[0]).second * 2;
  });
}

TEST_CASE("scores with a huge table of positions are right", "[backend]") {
  // 2 · 12 · 200,000 numbers: a device does not keep them for the backward pass
  const int64_t count = 200000;
  auto row_of = std::make_shared<std::vector<int32_t>>();
  for (int32_t i = 0; i < 17; ++i) row_of->push_back(i * 12000);
  compare(
      {input({12, 3 * 2 * 16}, 5), input({count, 2 * 16}, 6), input({count, 2 * 16}, 7)},
      [&](const std::vector<Tensor>& in) {
        return backend::disentangled_attention(in[0], {in[1], in[2], row_of}, packing_of({9, 3}),
                                               {2, scale}, {});
      },
      at::kBFloat16);
}

TEST_CASE("every length up to 512 is finite and right in bf16", "[backend]") {
  // One head of 16, so that 512 lengths take a second; three sequences, the middle one as long. An
  // emulated device takes minutes.
  const Tensor table = normal({2 * 256, 32}, 5).to(at::kBFloat16);
  for (int32_t length = 1; length <= 512; length += is_emulated() ? 73 : 1) {
    const Packing packing = packing_of({2, length, 1});
    const Rows rows = bucketed(512, 128, 255);
    const Tensor qkv = (3 * normal({length + 3, 48}, static_cast<uint64_t>(length)))
                           .to(at::kBFloat16)
                           .requires_grad_();
    const auto f = [&](const std::vector<Tensor>& in) {
      return backend::disentangled_attention(
          in[0], {in[1].narrow(1, 0, 16), in[1].narrow(1, 16, 16), rows}, packing, {1, 0.14}, {});
    };
    const auto got = output_and_gradients({qkv, table.detach().requires_grad_()}, f);
    PathGuard plain(Path::plain);
    const auto want = output_and_gradients(
        {qkv.detach().to(at::kFloat).requires_grad_(), table.to(at::kFloat).requires_grad_()}, f);
    for (size_t i = 0; i < got.size(); ++i) {
      INFO("length " << length << ", tensor " << i);
      REQUIRE(at::isfinite(got[i]).all().item<bool>());
      REQUIRE(relative_error(got[i], want[i].to(at::kDouble)) <= 1e-2);
    }
  }
}

TEST_CASE("without position terms it is self-attention", "[backend]") {
  for (const Path path : {Path::plain, backend::path()}) {
    const PathGuard guard(path);
    const Packing packing = packing_of({7, 20, 1});
    const Tensor qkv = normal({28, 192}, 3), rows = identities(28);
    const backend::Dropout dropout{0.1, 5, rows};
    const Tensor want = backend::self_attention(qkv, packing, {heads, scale}, dropout);
    const Tensor got =
        backend::disentangled_attention(qkv, {{}, {}, nullptr}, packing, {heads, scale}, dropout);
    CHECK(relative_error(got, want.to(at::kDouble)) <= 1e-6);
  }
}

TEST_CASE("pooled disentangled attention is one row of the whole", "[backend]") {
  const Packing packing = packing_of({7, 20, 1});
  const Tensor qkv = normal({28, 192}, 3), table = normal({43, 128}, 4);
  const RelativePositions positions{table.narrow(1, 0, 64), table.narrow(1, 64, 64),
                                    bucketed(20, 6, 21)};
  const Tensor first = at::tensor({0, 7, 27}, at::kLong), rows = identities(28);
  const Tensor all =
      backend::disentangled_attention(qkv, positions, packing, {heads, scale}, {0.1, 5, rows});
  const Tensor pooled = backend::disentangled_pooled_attention(
      qkv.narrow(1, 0, 64).index_select(0, first), qkv.narrow(1, 64, 128), positions, packing,
      {heads, scale}, {0.1, 5, rows.index_select(0, first)});
  CHECK(relative_error(pooled, all.index_select(0, first).to(at::kDouble)) <= 1e-6);
}

TEST_CASE("a sequence's disentangled attention does not depend on its neighbours", "[backend]") {
  const Tensor qkv = normal({60, 192}, 8), rows = identities(60), table = normal({43, 128}, 4);
  const RelativePositions positions{table.narrow(1, 0, 64), table.narrow(1, 64, 64),
                                    bucketed(40, 6, 21)};
  const backend::AttentionShape shape{heads, scale};
  const Tensor alone =
      backend::disentangled_attention(qkv.narrow(0, 9, 12), positions, packing_of({12}), shape,
                                      {0.2, 4, rows.narrow(0, 9, 12).contiguous()});
  const Tensor among = backend::disentangled_attention(qkv, positions, packing_of({9, 12, 39}),
                                                       shape, {0.2, 4, rows});
  CHECK(at::equal(alone, among.narrow(0, 9, 12)));
}

TEST_CASE("filler rows of disentangled attention give zeros and get no gradient", "[backend]") {
  for (const Path path : {Path::plain, backend::path()}) {
    const PathGuard guard(path);
    Tensor qkv = normal({9, 192}, 8);
    // a device's products, which do not know of filler, multiply it by zeros
    qkv.narrow(0, 5, 4).fill_(is_emulated() ? 1e30f : std::numeric_limits<float>::quiet_NaN());
    qkv.requires_grad_();
    const Tensor table = normal({43, 64}, 4).requires_grad_();
    const Tensor y = backend::disentangled_attention(qkv, {table, table, bucketed(3, 6, 21)},
                                                     packing_of({2, 3}), {heads, scale}, {});
    y.sum().backward();
    CHECK(at::equal(y.narrow(0, 5, 4), at::zeros({4, 64})));
    CHECK(at::equal(qkv.grad().narrow(0, 5, 4), at::zeros({4, 192})));
    CHECK(at::isfinite(y).all().item<bool>());
    CHECK(at::isfinite(qkv.grad()).all().item<bool>());
    CHECK(table.grad().abs().max().item<float>() < 100);
  }
}

TEST_CASE("the plain disentangled attention has the derivatives of its values", "[backend]") {
  // Differences of the values in double, one number of each input at a time.
  const PathGuard guard(Path::plain);
  const Packing packing = packing_of({3, 6});
  const Rows rows = bucketed(6, 2, 3);  // distances 4 and 5 are beyond the limit
  std::vector<Tensor> in{normal({9, 24}, 1), normal({7, 8}, 2), normal({7, 8}, 3)};
  for (Tensor& x : in) x = x.to(at::kDouble).requires_grad_();
  const Tensor direction = normal({9, 8}, 4).to(at::kDouble);
  const auto value = [&] {
    return (backend::disentangled_attention(in[0], {in[1], in[2], rows}, packing, {2, 0.3},
                                            {0.2, 1, identities(9)}) *
            direction)
        .sum();
  };
  const auto gradients = torch::autograd::grad({value()}, in);
  const at::NoGradGuard no_graph;
  const double step = 1e-5;
  for (size_t i = 0; i < in.size(); ++i) {
    Tensor differences = at::empty_like(in[i]);
    for (int64_t n = 0; n < in[i].numel(); ++n) {
      Tensor number = in[i].view(-1)[n];
      const Tensor before = number.clone();
      number.copy_(before + step);
      const double above = value().item<double>();
      number.copy_(before - step);
      const double below = value().item<double>();
      number.copy_(before);
      differences.view(-1)[n] = (above - below) / (2 * step);
    }
    CHECK(relative_error(gradients[i], differences) <= 1e-8);
  }
}

TEST_CASE("disentangled attention takes rows of any stride, and heads of any size", "[backend]") {
  const Packing packing = packing_of({5, 11});
  const Rows rows = bucketed(11, 6, 21);
  const Tensor turned = input({192, 16}, 9), table = input({43, 192}, 10);
  compare_both({turned, table}, [&](const std::vector<Tensor>& in) {
    return backend::disentangled_attention(in[0].t(),
                                           {in[1].narrow(1, 7, 64), in[1].narrow(1, 100, 64), rows},
                                           packing, {heads, scale}, {});
  });
  for (const int64_t head : {8, 20, 144}) {
    const Tensor qkv = input({16, 3 * heads * head}, 8), positions = input({43, heads * head}, 7);
    compare(
        {qkv, positions},
        [&](const std::vector<Tensor>& in) {
          return backend::disentangled_attention(in[0], {in[1], in[1], rows}, packing,
                                                 {heads, scale}, {});
        },
        at::kFloat);
  }
}
