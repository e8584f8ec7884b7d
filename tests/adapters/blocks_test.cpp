// Where the bottleneck adapters stand, how they start, what they cost, and that they compute in
// bfloat16 too.

#include <ATen/CPUGeneratorImpl.h>

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

/// Normal numbers of bfloat16.
Tensor some(int64_t rows, int64_t columns, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn({rows, columns}, generator).to(torch::kBFloat16);
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

TEST_CASE("a block computes in bfloat16 within that type's rounding", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(as<std::string>(), "houlsby", "pfeiffer");
  CAPTURE(name_of(path), name);
  const OnPath guard(path);
  const torch::NoGradGuard no_grad;
  constexpr int64_t width = 64, tokens = 32;
  const auto set = adapter_method(name).start({{"bottleneck", 24}, {"init", "repo"}});
  const auto block = set->make_block({"output", Sublayer::feed_forward, width, 5});
  const Tensor h = some(tokens, width, 1), r = some(tokens, width, 2);
  // A norm without rounding of its own.
  const auto half = [](const Tensor& sum) { return sum * 0.5; };
  const Tensor got = block->forward(h, r, half);
  CHECK(got.scalar_type() == torch::kBFloat16);

  // Eight bits: a rounding moves a value by at most 2⁻⁸ of it. Inputs are exact; weights, sums and
  // products are rounded once each, the second order of that is within the last factor.
  constexpr double u = 0x1p-8;
  const bool is_houlsby = name == "houlsby";
  const auto of = [&](const char* tensor) {
    return block->named_parameters()[tensor].to(torch::kDouble);
  };
  const Tensor v = of("down.weight"), v0 = of("down.bias"), w = of("up.weight"), w0 = of("up.bias");
  const Tensor exact = h.to(torch::kDouble);
  const Tensor x = is_houlsby ? exact : (exact + r.to(torch::kDouble)) * 0.5;
  const Tensor z = x.mm(v.t()) + v0, s = is_houlsby ? at::silu(z) : at::relu(z);
  const Tensor f = s.mm(w.t()) + w0;
  const Tensor of_x = is_houlsby ? at::zeros_like(x) : u * x.abs();
  const Tensor of_z = (of_x + u * x.abs()).mm(v.abs().t()) + u * v0.abs() + u * z.abs();
  const Tensor of_s = 1.1 * of_z + u * s.abs();  // swish is nowhere steeper than 1.1, ReLU than 1
  const Tensor of_f = (of_s + u * s.abs()).mm(w.abs().t()) + u * w0.abs() + u * f.abs();
  const Tensor bound = 1.05 * (of_f + u * (exact + f).abs());
  CHECK((((got.to(torch::kDouble) - exact - f).abs()) / bound).max().item<double>() <= 1);
}

TEST_CASE("bottleneck adapters stay fp32 where the model computes in bfloat16", "[adapters]") {
  const auto method = GENERATE(as<std::string>(), "houlsby", "pfeiffer");
  const torch::NoGradGuard no_grad;
  GoldenModel model("bert-tiny-wide", block(method.c_str(), {{"bottleneck", 8}}));
  set_compute_type(model.model(), *model.loaded().family, torch::kBFloat16);
  REQUIRE(!model.trained().tensors.empty());
  for (const NamedTensor& t : model.trained().tensors)
    CHECK(t.parameter.scalar_type() == torch::kFloat);
  CHECK(model.model().logits(model.batch(), {}).isfinite().all().item<bool>());
}
