// What DeBERTa has beside the goldens that all encoders share: rows of relative positions, names of
// the checkpoints, variants that are refused, and the convolution beside an only layer.

#include <set>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/models/deberta_config.h"
#include "lib/nn/relative_rows.h"
#include "lib/weights/safetensors.h"
#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

Json config_of(const std::string& model) {
  return read_json(golden_path(model + "/config.json"));
}

std::string error_of(const Json& config) {
  try {
    DebertaConfig(ModelConfig(config, "here"), std::nullopt);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// v3-tiny's config with one key changed.
Json with(const char* key, const Json& value) {
  Json config = config_of("deberta-v3-tiny");
  config[key] = value;
  return config;
}

LoadedClassifier load_changed(const TempDir& folder, const Json& config, const Tensors& tensors,
                              const LoadOptions& options) {
  write_file(folder / "config.json", config.dump());
  write_safetensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
  return load_classifier(folder.path(), options);
}

}  // namespace

TEST_CASE("distances read the rows that Hugging Face's build_relative_position says", "[models]") {
  const Tensors want = golden("relative_rows.safetensors");
  CHECK(want.size() == 7);
  for (const auto& [name, rows] : want) {
    const size_t dot = name.find('.');
    const RelativeSpan span{std::max(0, std::stoi(name.substr(0, dot))),
                            std::stoi(name.substr(dot + 1))};
    const std::vector<int32_t> got = relative_rows(span, 601);
    REQUIRE(static_cast<int64_t>(got.size()) == rows.numel());
    INFO(name);
    CHECK(at::equal(at::tensor(got, at::kInt), rows));
  }
}

TEST_CASE("a DeBERTa variant that is not implemented is refused by name", "[models]") {
  CHECK(error_of(config_of("deberta-v3-tiny")) == "no error");
  CHECK_THAT(error_of(with("pos_att_type", "c2p|p2p")), Contains("p2p"));
  CHECK_THAT(error_of(with("pos_att_type", Json{"p2c", "c3p"})), Contains("c3p"));
  CHECK_THAT(error_of(with("attention_head_size", 8)), Contains("attention_head_size"));
  CHECK_THAT(error_of(with("pooler_hidden_size", 8)), Contains("pooler_hidden_size"));
  CHECK_THAT(error_of(with("conv_kernel_size", 4)), Contains("should be odd"));
  CHECK_THAT(error_of(with("conv_groups", 2)), Contains("conv_groups"));
  CHECK_THAT(error_of(with("max_relative_positions", 4)), Contains("position_buckets"));
  CHECK_THAT(error_of(with("num_attention_heads", 5)), Contains("5 heads"));
}

TEST_CASE("a published DeBERTa checkpoint loads: heads of pre-training are left out", "[models]") {
  Tensors tensors = golden("deberta-v3-tiny/model.safetensors");
  for (const char* name :
       {"classifier.weight", "classifier.bias", "pooler.dense.weight", "pooler.dense.bias"})
    REQUIRE(tensors.erase(name) == 1);
  for (const char* name : {"lm_predictions.lm_head.bias", "lm_predictions.lm_head.dense.weight",
                           "mask_predictions.classifier.weight", "mask_predictions.LayerNorm.bias",
                           "cls_predictions.x", "deberta.embeddings.position_embeddings.weight"})
    tensors[name] = at::zeros({3});
  tensors["deberta.encoder.layer.2.output.dense.bias"] = at::zeros({32});
  const TempDir folder;
  const LoadedClassifier loaded =
      load_changed(folder, config_of("deberta-v3-tiny"), tensors, {4, std::nullopt, 3});
  CHECK(loaded.unused == std::vector<std::string>{"deberta.encoder.layer.2.output.dense.bias"});
  CHECK(loaded.initialised == std::vector<std::string>{"pooler.dense.weight", "pooler.dense.bias",
                                                       "classifier.weight", "classifier.bias"});
  GoldenModel as_is("deberta-v3-tiny");
  const auto got = loaded.model->hidden_states(as_is.batch(), {});
  const auto want = as_is.model().hidden_states(as_is.batch(), {});
  for (size_t i = 0; i < want.size(); ++i) CHECK(at::equal(got[i], want[i]));
}

TEST_CASE("DeBERTa's pooler is of the head, whether a file has one or not", "[models]") {
  AdapterOptions lora;
  lora.targets = {"query_proj"};
  lora.method = {"lora", Json::object()};
  const GoldenModel model("deberta-v3-tiny", lora);
  std::set<std::string> trained;
  for (const auto& [name, parameter] : model.trained().parameters)
    if (name.find("lora_") == std::string::npos) trained.insert(name);
  CHECK(trained == std::set<std::string>{"classifier.weight", "classifier.bias",
                                         "pooler.dense.weight", "pooler.dense.bias"});
}

TEST_CASE("of one layer with a convolution the first tokens are those of the hidden states",
          "[models]") {
  const torch::NoGradGuard no_grad;
  Json config = config_of("deberta-v2-tiny");
  config["num_hidden_layers"] = 1;
  Tensors tensors = golden("deberta-v2-tiny/model.safetensors");
  std::erase_if(tensors,
                [](const auto& t) { return t.first.find(".layer.1.") != std::string::npos; });
  // A head that passes the first tokens on: tanh(x / 1000) · 1000.
  config["pooler_hidden_act"] = "tanh";
  tensors["pooler.dense.weight"] = 1e-3 * at::eye(32);
  tensors["pooler.dense.bias"] = at::zeros({32});
  tensors["classifier.weight"] = 1e3 * at::eye(32);
  tensors["classifier.bias"] = at::zeros({32});
  const TempDir folder;
  const LoadedClassifier loaded = load_changed(folder, config, tensors, {32, std::nullopt, 0});
  CHECK(loaded.initialised.empty());
  GoldenModel golden_batch("deberta-v2-tiny");
  const Batch batch = golden_batch.batch();
  const Tensor states = loaded.model->hidden_states(batch, {}).back();
  check_close("first", loaded.model->logits(batch, {}), states.index_select(0, batch.first), 1e-4);
}

TEST_CASE("a text beyond the positions is refused", "[models]") {
  const LoadedClassifier loaded = load_classifier(golden_path("deberta-v3-tiny"), {});
  CHECK(loaded.model->longest() == 64);
  const EncodedSet set({{std::vector<int32_t>(65, 7), std::vector<int32_t>(65, 0), 0}});
  const Batch batch = collate(set, {{0, 0}}, {});
  CHECK_THROWS_AS(loaded.model->logits(batch, {}), Error);
}

TEST_CASE("what a batch's longest text is changes nothing for the others", "[models]") {
  const torch::NoGradGuard no_grad;
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(as<std::string>(), "deberta-v3-tiny", "deberta-v2-tiny");
  CAPTURE(name, name_of(path));
  const OnPath guard(path);
  GoldenModel model(name);
  const EncodedSet set = golden_set(model.batch_golden());
  const Batch whole = on_device(collate(set, items_until(5), {}), OnPath::device()),
              few = on_device(collate(set, items_until(3), {}), OnPath::device());
  const auto logits = [&](const Batch& batch, bool training) {
    return model.model().logits(batch, {training, 7, batch.rows}).narrow(0, 0, 3);
  };
  check_close("evaluation", logits(few, false), logits(whole, false), output_tolerance);
  check_close("with dropout", logits(few, true), logits(whole, true), output_tolerance);
  CHECK(!difference(logits(few, true), logits(few, false), 1e-2).empty());
}
