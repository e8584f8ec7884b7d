// LoRTA: one tensor for the whole model, whose size is the paper's count; and what it cannot adapt.

#include <nlohmann/json.hpp>

#include "lib/core/error.h"
#include "tests/models/golden_model.h"
#include "tests/models/roberta_shape.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

AdapterOptions options_of(int64_t rank, std::vector<std::string> targets) {
  AdapterOptions options;
  options.targets = std::move(targets);
  options.method = {"lorta", {{"rank", rank}}};
  return options;
}

std::string error_of(const std::vector<std::string>& targets) {
  try {
    GoldenModel model("bert-tiny-wide", options_of(4, targets));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("LoRTA's parameters are r(d + d/H + H + L + 4) for the whole model", "[laws]") {
  const std::vector<std::string> some{"query", "value"};
  const std::vector<std::string> all{"query", "key", "value", "**.attention.output.dense"};
  for (const auto& targets : {some, all}) {
    CHECK(inject(*roberta_of(768, 12, 12), options_of(8, targets), 1, {}).count() == 8 * 860);
    CHECK(inject(*roberta_of(1024, 16, 24), options_of(5, targets), 1, {}).count() == 5 * 1132);
  }
}

TEST_CASE("LoRTA's factors start as the authors' code draws them", "[laws]") {
  const auto model = roberta_of(768, 12, 12);
  AdapterOptions options = options_of(6, {"query", "value"});
  Tensors start;
  for (const NamedTensor& t : inject(*model, options, 1, {}).tensors) start[t.name] = t.tensor;
  REQUIRE(start.size() == 5);
  const auto within = [&](const std::string& name, double bound) {
    CAPTURE(name);
    const double largest = start.at("lorta." + name).abs().max().item<double>();
    CHECK(largest <= bound);
    CHECK(largest > 0.8 * bound);
    CHECK(start.at("lorta." + name).std().item<double>() ==
          Approx(bound / std::sqrt(3.0)).epsilon(0.2));
  };
  within("A", 1 / std::sqrt(6.0));
  for (const char* name : {"C_h", "C_l"}) within(name, 1.0);  // sqrt(6 / 6)
  CHECK(start.at("lorta.A").sizes() == std::vector<int64_t>{768, 6});
  CHECK(start.at("lorta.B").sizes() == std::vector<int64_t>{6, 64});
  CHECK(start.at("lorta.C_h").sizes() == std::vector<int64_t>{12, 6});
  CHECK(start.at("lorta.C_l").sizes() == std::vector<int64_t>{12, 6});
  CHECK(start.at("lorta.C_m").sizes() == std::vector<int64_t>{4, 6});
  CHECK(!start.at("lorta.B").any().item<bool>());
}

TEST_CASE("LoRTA says what it cannot adapt", "[laws]") {
  CHECK(error_of({"query", "value"}) == "no error");
  CHECK(error_of({"query", "key", "value", "**.attention.output.dense"}) == "no error");
  CHECK_THAT(error_of({"query", "bert.encoder.layer.*.output.dense"}),
             Contains("bert.encoder.layer.0.output.dense") && Contains("none of them"));
  CHECK_THAT(error_of({"query", "bert.encoder.layer.*.intermediate.dense"}),
             Contains("bert.encoder.layer.0.intermediate.dense") && Contains("none of them"));
  // Two heads share a key and a value in llama-tiny.
  const auto loaded = load_language_model(golden_path("llama-tiny"), std::nullopt);
  CHECK_THROWS_WITH(inject(*loaded.model, options_of(4, {"q_proj", "k_proj"}), 1, {}),
                    Contains("k_proj") && Contains("square") && Contains("share a key"));
}

TEST_CASE("LoRTA finds the projections of every family", "[laws]") {
  const auto gpt2 = load_language_model(golden_path("gpt2-tiny"), std::nullopt);
  CHECK(inject(*gpt2.model, options_of(4, {"c_attn", "**.attn.c_proj"}), 1, {}).count() > 0);
  const auto llama = load_language_model(golden_path("llama-tiny"), std::nullopt);
  CHECK(inject(*llama.model, options_of(4, {"q_proj", "o_proj"}), 1, {}).count() > 0);
}
