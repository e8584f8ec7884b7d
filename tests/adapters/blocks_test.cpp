// Where the bottleneck adapters stand, how they start, what they cost, and that they compute in
// bfloat16 too.

#include "lib/core/error.h"
#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

AdapterOptions block(const char* method, const Json& options = Json::object()) {
  AdapterOptions adapter;
  adapter.method = {method, options};
  return adapter;
}

/// The paths of the blocks in bert-tiny-wide, of two layers.
std::vector<std::string> places(const char* method) {
  const GoldenModel model("bert-tiny-wide", block(method));
  std::vector<std::string> found;
  const std::string end = ".adapter.down.weight";
  for (const NamedTensor& t : model.trained().tensors)
    if (t.name.ends_with(end)) found.push_back(t.name.substr(0, t.name.size() - end.size()));
  return found;
}

Tensors starting_values(const Json& options) {
  const GoldenModel model("bert-tiny-wide", block("houlsby", options));
  Tensors values;
  for (const NamedTensor& t : model.trained().tensors)
    if (t.name.starts_with("bert.encoder.layer.1.output.adapter."))
      values[t.name.substr(t.name.find("adapter.") + 8)] = t.tensor.clone();
  return values;
}

/// Trained numbers beside the head, in a model of BERT-base's layers.
int64_t numbers_in_base(const char* method, int64_t bottleneck) {
  const ModelConfig config(Json{{"model_type", "bert"},
                                {"vocab_size", 10},
                                {"hidden_size", 768},
                                {"num_hidden_layers", 12},
                                {"num_attention_heads", 12},
                                {"intermediate_size", 3072},
                                {"max_position_embeddings", 512},
                                {"type_vocab_size", 2},
                                {"hidden_dropout_prob", 0.1},
                                {"attention_probs_dropout_prob", 0.1},
                                {"layer_norm_eps", 1e-12},
                                {"hidden_act", "gelu"}},
                           "BERT-base");
  const auto model = family_of(config).classifier(config, {});
  return inject(*model, block(method, {{"bottleneck", bottleneck}}), 1, {}).count();
}

}  // namespace

TEST_CASE("Houlsby's adapters end both sublayers, Pfeiffer's the second", "[adapters]") {
  const std::string at = "bert.encoder.layer.";
  CHECK(places("houlsby") == std::vector<std::string>{at + "0.attention.output", at + "0.output",
                                                      at + "1.attention.output", at + "1.output"});
  CHECK(places("pfeiffer") == std::vector<std::string>{at + "0.output", at + "1.output"});
}

TEST_CASE("bottleneck adapters cost what the tables print", "[adapters]") {
  // AdaLoRA's table for a base model: HAdapter 0.61M and 0.31M, PAdapter 0.60M and 0.30M
  CHECK(numbers_in_base("houlsby", 16) == 608'640);
  CHECK(numbers_in_base("houlsby", 8) == 313'536);
  CHECK(numbers_in_base("pfeiffer", 32) == 599'424);
  CHECK(numbers_in_base("pfeiffer", 16) == 304'320);
}

TEST_CASE("a start of zero has no second product, that of the repository is Linear's",
          "[adapters]") {
  const Tensors zero = starting_values({{"bottleneck", 16}});
  const Tensors repo = starting_values({{"bottleneck", 16}, {"init", "repo"}});
  REQUIRE(zero.size() == 4);
  for (const char* name : {"up.weight", "up.bias", "down.bias"})
    CHECK(zero.at(name).abs().max().item<float>() == 0);
  CHECK(torch::equal(zero.at("down.weight"), repo.at("down.weight")));
  for (const auto& [name, value] : repo) {
    INFO(name);
    const double bound = 1 / std::sqrt(name.starts_with("down") ? 64.0 : 16.0);
    CHECK(value.abs().max().item<double>() <= bound);
    CHECK(value.abs().max().item<double>() > 0.7 * bound);
    CHECK(value.min().item<double>() < 0);
  }
}

TEST_CASE("a model without places for blocks is refused", "[adapters]") {
  const auto loaded = load_language_model(golden_path("gpt2-tiny"), std::nullopt);
  CHECK_THROWS_WITH(inject(*loaded.model, block("pfeiffer"), 1, {}),
                    Contains("pfeiffer puts blocks") && Contains("this model has none"));
}

TEST_CASE("bottleneck adapters compute in bfloat16", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto method = GENERATE(as<std::string>(), "houlsby", "pfeiffer");
  CAPTURE(name_of(path), method);
  const OnPath guard(path);
  const torch::NoGradGuard no_grad;
  GoldenModel model("bert-tiny-wide", block(method.c_str(), {{"bottleneck", 8}}));
  const Tensors want = golden("bert-tiny-wide/" + method + ".safetensors");
  for (const NamedTensor& t : model.trained().tensors) t.tensor.copy_(want.at("adapter/" + t.name));
  set_compute_type(model.model(), *model.loaded().family, torch::kBFloat16);
  for (const NamedTensor& t : model.trained().tensors)
    CHECK(t.parameter.scalar_type() == torch::kFloat);
  const Tensor logits = model.model().logits(model.batch(), {});
  // Each of two layers stores fourteen results one after another in 8 bits of mantissa: of its two
  // sublayers and of a block at each, every product, activation, sum and norm. Each rounds by at
  // most 2⁻⁹ of its value, and so do the embeddings and their norm.
  check_close("logits", logits.to(torch::kFloat), want.at("logits"), 30 * 0x1p-9);
}
