// What a config.json may leave out or say: defaults, variants, and what is refused by name.

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "tests/models/golden_model.h"
// LibTorch before it
#include "lib/models/bert_encoder.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

/// A golden model whose config.json is changed by a JSON merge patch: null takes a key away.
class Configured {
 public:
  Configured(const std::string& model, const Json& patch) {
    Json config = read_json(golden_path(model + "/config.json"));
    config.merge_patch(patch);
    write_file(folder_ / "config.json", config.dump());
    std::filesystem::copy(golden_path(model + "/model.safetensors"), folder_ / "model.safetensors");
  }
  LoadedClassifier classifier() const { return load_classifier(folder_.path(), {}); }
  LoadedLanguageModel language_model() const {
    return load_language_model(folder_.path(), std::nullopt);
  }
  ModelConfig config() const { return ModelConfig(folder_.path()); }
  /// Of loading; it names the file.
  std::string error() const {
    try {
      if (family_of(config()).classifier)
        classifier();
      else
        language_model();
    } catch (const Error& error) {
      CHECK_THAT(error.what(), Contains((folder_ / "config.json").string()));
      return error.what();
    }
    return "no error";
  }

 private:
  TempDir folder_;
};

std::string error_of(const std::string& model, const Json& patch) {
  return Configured(model, patch).error();
}

Tensor hidden(const LoadedLanguageModel& loaded) {
  const torch::NoGradGuard no_grad;
  const EncodedSet set({{{5, 6, 7, 8, 9}, {0, 0, 0, 0, 0}, 0}});
  const Batch batch = collate(set, {{0, 0}}, {});
  AttendWithin attend(batch.packing);
  return loaded.model->hidden(batch.ids, batch.positions, attend, {});
}

}  // namespace

TEST_CASE("a config that the family does not implement is refused", "[models]") {
  const auto bert = [](const char* key, const Json& value) {
    return error_of("bert-tiny", {{key, value}});
  };
  CHECK(error_of("bert-tiny", Json::object()) == "no error");
  CHECK_THAT(bert("hidden_act", "relu6"), Contains("\"hidden_act\"") && Contains("\"relu\""));
  CHECK_THAT(bert("position_embedding_type", "relative_key"), Contains("relative_key"));
  CHECK_THAT(bert("num_attention_heads", 5), Contains("5 heads"));
  CHECK_THAT(bert("model_type", "brt"), Contains("bert"));
  CHECK_THAT(bert("hidden_size", nullptr), Contains("hidden_size"));
  CHECK_THAT(bert("is_decoder", true), Contains("\"is_decoder\" is true"));
  CHECK_THAT(error_of("roberta-tiny", {{"add_cross_attention", true}}),
             Contains("\"add_cross_attention\" is true"));
  CHECK_THAT(error_of("gpt2-tiny", {{"add_cross_attention", true}}),
             Contains("\"add_cross_attention\" is true"));
}

TEST_CASE("numbers of a config that no model can have are refused", "[models]") {
  CHECK_THAT(error_of("bert-tiny", {{"layer_norm_eps", -1e-5}}),
             Contains("\"layer_norm_eps\" should be at least 0, got -1e-05"));
  CHECK_THAT(error_of("llama-tiny", {{"rms_norm_eps", -1}}), Contains("\"rms_norm_eps\""));
  CHECK_THAT(error_of("roberta-tiny", {{"hidden_dropout_prob", 1}}),
             Contains("\"hidden_dropout_prob\" should be at least 0 and below 1, got 1"));
  CHECK_THAT(error_of("bert-tiny", {{"classifier_dropout", -0.1}}), Contains("classifier_dropout"));
  CHECK_THAT(error_of("deberta-v3-tiny", {{"cls_dropout", 2}}), Contains("cls_dropout"));
  CHECK_THAT(error_of("gpt2-tiny", {{"attn_pdrop", 1.5}}), Contains("attn_pdrop"));
  CHECK_THAT(error_of("bert-tiny", {{"vocab_size", -1}}),
             Contains("\"vocab_size\" should be a whole number from 0 to 1073741824, got -1"));
}

TEST_CASE("a quantised model is refused by its method", "[models]") {
  const Json method = {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}};
  CHECK_THAT(error_of("llama-tiny", {{"quantization_config", method}}),
             Contains("quantised by \"bitsandbytes\""));
  CHECK_THAT(error_of("bert-tiny", {{"quantization_config", {{"bits", 4}}}}),
             Contains("quantised by an unnamed method"));
}

TEST_CASE("what an encoder's config leaves out is as in Hugging Face", "[models]") {
  const Json without = {{"layer_norm_eps", nullptr},
                        {"type_vocab_size", nullptr},
                        {"hidden_dropout_prob", nullptr},
                        {"attention_probs_dropout_prob", nullptr},
                        {"hidden_act", nullptr}};
  const BertConfig config(Configured("bert-tiny", without).config(), std::nullopt);
  CHECK(config.layer_norm_eps == 1e-12);
  CHECK(config.type_vocab_size == 2);
  CHECK(config.hidden_dropout_prob == 0.1);
  CHECK(config.attention_probs_dropout_prob == 0.1);
  CHECK(config.hidden_act == "gelu");
  const auto roberta = Configured("roberta-tiny", {{"pad_token_id", nullptr}}).classifier();
  CHECK(roberta.model->longest() == 64);
}

TEST_CASE("an encoder's config says how many segments there are", "[models]") {
  CHECK(Configured("bert-tiny", Json::object()).classifier().model->segments() == 2);
  CHECK(Configured("roberta-tiny", Json::object()).classifier().model->segments() == 1);
  CHECK(Configured("deberta-v3-tiny", Json::object()).classifier().model->segments() ==
        std::nullopt);
}

TEST_CASE("an encoder's activation is the one that its config names", "[models]") {
  const torch::NoGradGuard no_grad;
  GoldenModel golden("bert-tiny");
  const auto logits = [&](const char* name) {
    const Configured model("bert-tiny", {{"hidden_act", name}});
    return model.classifier().model->logits(golden.batch(), {});
  };
  CHECK(torch::equal(logits("gelu"), golden.model().logits(golden.batch(), {})));
  CHECK(torch::equal(logits("gelu_new"), logits("gelu_pytorch_tanh")));
  CHECK(!torch::equal(logits("gelu_new"), logits("gelu")));
  CHECK(!difference(logits("relu"), logits("gelu"), 1e-2).empty());
}

TEST_CASE("labels are texts or whole numbers", "[models]") {
  const auto labels = [](const Json& id2label) {
    return ModelConfig({{"id2label", id2label}}, "here").labels();
  };
  CHECK(labels({{"0", "bad"}, {"1", 5}}) == std::vector<std::string>{"bad", "5"});
  CHECK_THROWS_WITH(labels({{"0", "bad"}, {"2", "good"}}),
                    "here: \"id2label\" should name the labels 0 to 1, but it has no \"1\"");
  CHECK_THROWS_WITH(labels({{"0", nullptr}}), Contains("the label 0 by a text, got null"));
}

TEST_CASE("of two rotary scalings rope_scaling counts, as in transformers 5", "[models]") {
  const Json linear = {{"type", "linear"}, {"factor", 4}};
  const auto with = [](const Json& parameters, const Json& scaling, const Json& theta) {
    const Json patch = {
        {"rope_parameters", parameters}, {"rope_scaling", scaling}, {"rope_theta", theta}};
    return hidden(Configured("llama-tiny", patch).language_model());
  };
  const Json plain = {{"rope_type", "default"}, {"rope_theta", 700}};
  const Tensor want = with(nullptr, linear, 500);
  CHECK(torch::equal(with(plain, linear, 500), want));
  CHECK(!difference(with(plain, nullptr, 500), want, 1e-3).empty());
  CHECK(torch::equal(with(plain, Json::object(), 500), with(nullptr, nullptr, 700)));
  CHECK_THAT(error_of("llama-tiny", {{"rope_scaling", "linear"}}),
             Contains("\"rope_scaling\" should be an object or null, got \"linear\""));
}
