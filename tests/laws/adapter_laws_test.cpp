// What every adapter method of the registry keeps of the map that it adapts, in double precision.

#include <cmath>
#include <map>

#include "tests/laws/toy.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

constexpr double rounding = 1e-12;

}  // namespace

TEST_CASE("the laws visit every method", "[laws]") {
  // how many variants of each are visited, the defaults included
  const std::map<std::string, int> wanted{
      {"lora", 6},     {"mtlora", 10}, {"bitfit", 1},  {"full", 1},  {"houlsby", 3},
      {"pfeiffer", 3}, {"adalora", 2}, {"rm_lora", 2}, {"dora", 4},  {"lora_mini", 2},
      {"hta", 9},      {"xgblora", 3}, {"mora", 4},    {"lorta", 3}, {"deep_lora", 3},
  };
  std::map<std::string, int> visited;
  for (const Case& c : all_cases()) ++visited[c.method->name];
  CHECK(visited == wanted);
  CHECK(adapter_methods().size() == wanted.size());
}

TEST_CASE("attaching changes no output, unless the method says so", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const Nature nature = c.method->nature(c.options);
  for (const auto type : {torch::kDouble, torch::kFloat}) {
    const Tensor x = toy_input(type);
    const Tensor base = toy_of(c, type)->forward(x), attached = Adapted(c, type).toy->forward(x);
    if (nature.starts_exactly)
      CHECK(torch::equal(base, attached));
    else if (std::isinf(nature.starts_within))
      CHECK(!torch::equal(base, attached));
    else if (nature.starts_within == 0)
      // starting values are drawn in fp32, so they round there in double too
      CHECK(distance(base, attached) < (type == torch::kDouble ? 1e-6 : 1e-5));
    else  // of which the next law says how large its cause is
      CHECK(at::allclose(base, attached, 0, 1e-6));
  }
}

TEST_CASE("a change that is there from the start is as small as the method says", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const Nature nature = c.method->nature(c.options);
  if (!nature.is_added) {
    SUCCEED("its change depends on the weight");
    return;
  }
  const torch::NoGradGuard no_grad;
  const Adapted adapted(c);
  size_t filled = 0;
  for (const Linear& layer : adapted.layers()) {
    if (!layer->adapter()) continue;
    ++filled;
    const Tensor none = layer->bias.defined() ? at::zeros_like(layer->bias) : Tensor();
    const Affine change = layer->adapter()->merged({at::zeros_like(layer->weight), none});
    // Each of a fused layer's two parts is within the bound, so the whole is within √2 of it.
    const double norm = at::linalg_matrix_norm(change.weight, 2).item<double>();
    CHECK(norm <= std::sqrt(2.0) * nature.starts_within * (1 + 1e-6));
    CHECK((norm > 0) == (nature.starts_within > 0));
    if (none.defined()) CHECK(!change.bias.any().item<bool>());
  }
  CHECK((filled > 0) == c.method->start(c.options)->fills_slots());
}

TEST_CASE("the merged map is the forward in evaluation", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  Adapted adapted(c);
  adapted.shake();
  const Tensor x = toy_input();
  const Tensor before = adapted.toy->forward(x);
  CHECK(distance(before, toy_of(c)->forward(x)) > 1e-3);  // there is a change to merge
  if (!c.method->merges) {
    CHECK_THROWS_WITH(merge_adapters(*adapted.toy), Contains("cannot be merged"));
    CHECK(torch::equal(before, adapted.toy->forward(x)));
    return;
  }
  merge_adapters(*adapted.toy);
  for (const Linear& layer : adapted.layers()) CHECK(!layer->adapter());
  CHECK(distance(before, adapted.toy->forward(x)) < rounding);
}

TEST_CASE("LoRA's form of a change is the change", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const torch::NoGradGuard no_grad;
  Adapted adapted(c);
  adapted.shake();
  size_t forms = 0;
  for (const Linear& layer : adapted.layers()) {
    if (!layer->adapter()) continue;
    const Affine merged = layer->adapter()->merged({layer->weight, layer->bias});
    for (const LowRankForm& form : layer->adapter()->low_rank_form()) {
      ++forms;
      const auto rows = [&](const Tensor& t) {
        return t.narrow(0, form.part.begin, form.part.size());
      };
      Tensor want = rows(layer->weight) + form.scale * form.up.mm(form.down);
      if (form.magnitude.defined()) want = want * (form.magnitude / want.norm(2, 1)).unsqueeze(1);
      CHECK(distance(rows(merged.weight), want) < rounding);
      if (form.bias.defined())
        CHECK(distance(rows(merged.bias), rows(layer->bias) + form.bias) < rounding);
    }
  }
  // query and value; dense and no_bias
  CHECK(forms == (!c.method->is_low_rank ? 0 : c.method->nature(c.options).only_attention ? 2 : 4));
}

TEST_CASE("subtracting the merged change gives the weights back", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const torch::NoGradGuard no_grad;
  Adapted adapted(c);
  adapted.shake();
  size_t filled = 0;
  for (const Linear& layer : adapted.layers()) {
    if (!layer->adapter()) continue;
    ++filled;
    const Tensor none = layer->bias.defined() ? at::zeros_like(layer->bias) : Tensor();
    const Affine merged = layer->adapter()->merged({layer->weight, layer->bias});
    const Affine change = layer->adapter()->merged({at::zeros_like(layer->weight), none});
    CHECK(distance(merged.weight, layer->weight) > 1e-3);
    CHECK(merged.bias.defined() == layer->bias.defined());
    if (!c.method->nature(c.options).is_added) continue;  // dora_test and hta_test undo theirs
    CHECK(distance(merged.weight - change.weight, layer->weight) < rounding);
    if (none.defined()) CHECK(distance(merged.bias - change.bias, layer->bias) < rounding);
  }
  CHECK(filled == (!c.method->start(c.options)->fills_slots()   ? 0
                   : c.method->nature(c.options).only_attention ? 1
                                                                : 3));
}

TEST_CASE("a range of parts is that range of the whole", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  Adapted adapted(c);
  adapted.shake();
  const Tensor x = adapted.toy->of_qkv(toy_input());
  const Tensor whole = adapted.toy->qkv->forward(x, {});
  for (size_t first = 0; first < 3; ++first)
    for (size_t last = first + 1; last <= 3; ++last) {
      CAPTURE(first, last);
      const auto begin = static_cast<int64_t>(first) * Toy::part;
      const auto end = static_cast<int64_t>(last) * Toy::part;
      CHECK(distance(adapted.toy->qkv->forward_parts(x, first, last, {}),
                     whole.narrow(1, begin, end - begin)) < rounding);
    }
}

TEST_CASE("settled layers give what unsettled ones do", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  Adapted adapted(c, torch::kFloat);
  adapted.shake();
  const Tensor x = toy_input(torch::kFloat);
  const torch::NoGradGuard no_grad;
  const Tensor before = adapted.toy->forward(x);
  for (Linear layer : adapted.layers()) layer->settle();
  CHECK(torch::equal(before, adapted.toy->forward(x)));
  if (!c.method->merges) return;
  merge_adapters(*adapted.toy);
  // fp32: some hundred roundings of the largest output
  CHECK(distance(before, adapted.toy->forward(x)) < 1e-5 * before.abs().max().item<double>());
}

TEST_CASE("the adapter's dropout touches the adapter's path alone", "[laws]") {
  const auto name = GENERATE(as<std::string>(), "lora", "mtlora", "adalora", "rm_lora", "dora",
                             "lora_mini", "hta", "xgblora", "mora", "lorta");
  CAPTURE(name);
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  const Case c{&adapter_method(name), {{"dropout", 0.5}}};
  Adapted adapted(c);
  const Tensor x = toy_input();
  const Pass pass{true, 3, at::arange(x.size(0))};
  // B or E starts at zero: whatever is dropped before it, the layer's own map is whole.
  CHECK(torch::equal(adapted.toy->forward(x, pass), toy_of(c)->forward(x)));
  adapted.shake();
  CHECK(distance(adapted.toy->forward(x, pass), adapted.toy->forward(x)) > 1e-3);
  CHECK(torch::equal(adapted.toy->forward(x, pass), adapted.toy->forward(x, pass)));
}
