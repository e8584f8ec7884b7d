// The method that the README shows as an example is compiled as it stands there, and keeps the laws
// that it is said to keep.

#include "lib/core/random.h"
#include "tests/laws/toy.h"

namespace mtlora {
AdapterMethod scaled();  // built from README.md
}

using namespace mtlora;
using namespace mtlora::test;

namespace {

/// Fills the slots of query, value and dense, as inject() does for a method of the list.
std::vector<std::shared_ptr<Adapter>> attach(Toy& toy, AdapterSet& set) {
  const auto add = [&](const char* path, Linear& linear, const std::vector<Part>& parts) {
    auto adapter = set.make({path, linear->shape(), parts, linear->parts_are(), name_key(path)});
    adapter->to(linear->weight.scalar_type());
    linear->attach(adapter);
    return adapter;
  };
  const std::vector<Part>& qkv = toy.qkv->parts();
  return {add("self.query", toy.qkv, {qkv[0], qkv[2]}),
          add("dense", toy.dense, toy.dense->parts())};
}

int64_t numbers(const std::vector<std::shared_ptr<Adapter>>& adapters) {
  int64_t count = 0;
  for (const auto& adapter : adapters)
    for (const Tensor& p : adapter->parameters()) count += p.numel();
  return count;
}

}  // namespace

TEST_CASE("the README's method is one", "[adapters]") {
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  const AdapterMethod method = scaled();
  CHECK(method.name == "scaled");
  CHECK(write_options(method.visit) == Json{{"rank", 8}});
  CHECK_THROWS_WITH(method.start({{"rank", 0}}), Catch::Matchers::Contains("is not at least 1"));

  const Json options = {{"rank", 3}};
  const auto set = method.start(options);
  Toy toy;
  const Tensor x = toy_input(), base = toy.forward(x);
  const auto adapters = attach(toy, *set);
  CHECK(torch::equal(toy.forward(x), base));
  CHECK(numbers(adapters) == 2 * method.parameters(options, Toy::in, Toy::part) +
                                 method.parameters(options, 3 * Toy::part, Toy::inner));
}

TEST_CASE("the README's method merges into what it computes", "[adapters]") {
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  const auto set = scaled().start({{"rank", 3}});
  Toy toy;
  const Tensor x = toy_input(), base = toy.forward(x);
  uint64_t seed = 100;
  for (const auto& adapter : attach(toy, *set))
    for (Tensor& p : adapter->parameters()) p.add_(Toy::values(p, seed++));
  const Tensor before = toy.forward(x);
  CHECK((before - base).abs().max().item<double>() > 1e-3);
  merge_adapters(toy);
  CHECK(!toy.qkv->adapter());
  CHECK((before - toy.forward(x)).abs().max().item<double>() < 1e-12);
}
