#include "lib/weights/rename.h"

#include "lib/weights/safetensors.h"
#include "tests/support/golden.h"
#include "tests/weights/files.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

const NameMap kMap{
    {{"bert.**", "**"}, {"**LayerNorm.gamma", "**LayerNorm.weight"}, {"**.beta", "**.bias"}},
    {"**position_ids", "cls.**"},
    {{"**.query_key_value.*", {"**.query.*", "**.key.*", "**.value.*"}}}};

}  // namespace

TEST_CASE("names are rewritten by each rule that matches, in order", "[weights]") {
  CHECK(renamed("bert.embeddings.LayerNorm.gamma", kMap.renames) == "embeddings.LayerNorm.weight");
  CHECK(renamed("LayerNorm.gamma", kMap.renames) == "LayerNorm.weight");
  CHECK(renamed("embeddings.LayerNorm.beta", kMap.renames) == "embeddings.LayerNorm.bias");
  CHECK(renamed("roberta.pooler", kMap.renames) == "roberta.pooler");
}

TEST_CASE("sources maps each of our names to the checkpoint's tensors it is made of", "[weights]") {
  const auto found =
      sources({"bert.embeddings.position_ids", "cls.predictions.bias", "bert.layer.0.value.weight",
               "bert.layer.0.query.weight", "bert.layer.0.key.weight", "bert.norm.beta"},
              kMap, "file");
  using Found = std::map<std::string, std::vector<std::string>>;
  CHECK(found == Found{{"layer.0.query_key_value.weight",
                        {"bert.layer.0.query.weight", "bert.layer.0.key.weight",
                         "bert.layer.0.value.weight"}},
                       {"norm.bias", {"bert.norm.beta"}}});
}

TEST_CASE("names that fall together, and parts that are missing, are reported together",
          "[weights]") {
  CHECK_THAT(error_of([] {
               sources({"bert.a.bias", "a.beta", "b.query.bias", "b.value.bias"}, kMap, "file");
             }),
             Contains("both our \"a.bias\"") && Contains("file: lacks \"b.key.bias\""));
  CHECK_THAT(error_of([] {
               sources({"b.query_key_value.w", "b.query.w", "b.key.w", "b.value.w"}, kMap, "file");
             }),
             Contains("stands beside its parts"));
}

TEST_CASE("joined tensors lie row after row", "[weights]") {
  const TempDir folder;
  const torch::Tensor a = torch::randn({2, 3}), b = torch::randn({4, 3});
  write_safetensors(folder / "x.safetensors", {{"a", a},
                                               {"b", b},
                                               {"c", torch::randn({2, 2})},
                                               {"d", b.to(torch::kHalf)},
                                               {"s", torch::tensor(1.f)}});
  const auto file = open_weights(folder / "x.safetensors");
  CHECK(torch::equal(read_joined(*file, {"a", "b"}), torch::cat({a, b})));
  CHECK(torch::equal(read_joined(*file, {"s"}), torch::tensor(1.f)));
  for (const char* other : {"c", "d", "s"})
    CHECK_THAT(error_of([&] {
                 read_joined(*file, {"a", other});
               }),
               Contains("\"a\" Float [2, 3]") && Contains("cannot be joined by rows"));
}
