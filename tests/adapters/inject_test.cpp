// Targets fill slots, patterns choose what is trained, and what was meant is never guessed.

#include <map>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"
#include "tests/models/golden_model.h"
#include "tests/models/roberta_shape.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

AdapterOptions adapter(const char* method, const Json& options = Json::object()) {
  AdapterOptions a;
  a.method = {method, options};
  return a;
}

/// The trained tensors' names, without the head's.
std::vector<std::string> trained_names(const GoldenModel& model) {
  std::vector<std::string> names;
  for (const NamedTensor& t : model.trained().tensors)
    if (!t.name.starts_with("classifier")) names.push_back(t.name);
  return names;
}

std::string error_of(const AdapterOptions& options) {
  try {
    GoldenModel model("bert-tiny", options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::shared_ptr<Classifier> roberta_base() {
  return roberta_of(768, 12, 12);
}

/// Numbers that get gradients, the head's not counted.
int64_t trained_numbers(const AdapterOptions& options) {
  const auto model = roberta_base();
  const Trained trained = inject(*model, options, 1, {"classifier.**"});
  int64_t of_parameters = 0, of_head = 0;
  for (const auto& p : model->named_parameters()) {
    if (!p.value().requires_grad()) continue;
    (p.key().starts_with("classifier") ? of_head : of_parameters) += p.value().numel();
  }
  CHECK(of_head == 768 * 768 + 768 + 768 * 2 + 2);
  CHECK(trained.count() == of_parameters + of_head);
  return of_parameters;
}

}  // namespace

TEST_CASE("RoBERTa-base has the parameters of the paper's tables", "[adapters]") {
  AdapterOptions options = adapter("lora", {{"rank", 8}});
  options.targets = {"query", "value", "*.encoder.layer.*.intermediate.dense",
                     "*.encoder.layer.*.output.dense"};
  CHECK(trained_numbers(options) == 1'032'192);
  for (const auto& [structure, count] : {std::pair{"shim", 1'035'264},
                                         {"icfm", 1'035'264},
                                         {"ctcm", 1'038'336},
                                         {"dtsm", 1'038'336}}) {
    CAPTURE(structure);
    options.method = {"mtlora", {{"structure", structure}, {"rank", 8}}};
    CHECK(trained_numbers(options) == count);
  }
}

TEST_CASE("a name adapts that part of every layer", "[adapters]") {
  const GoldenModel model("bert-tiny", adapter("lora"));
  const std::string at = "bert.encoder.layer.";
  CHECK(trained_names(model) ==
        std::vector<std::string>{
            at + "0.attention.self.query.lora_A", at + "0.attention.self.query.lora_B",
            at + "0.attention.self.value.lora_A", at + "0.attention.self.value.lora_B",
            at + "1.attention.self.query.lora_A", at + "1.attention.self.query.lora_B",
            at + "1.attention.self.value.lora_A", at + "1.attention.self.value.lora_B"});
}

TEST_CASE("a pattern with dots is for the whole path", "[adapters]") {
  AdapterOptions options = adapter("lora");
  options.targets = {"bert.encoder.layer.1.output.dense", "**.0.attention.*.dense"};
  const GoldenModel model("bert-tiny", options);
  CHECK(trained_names(model) ==
        std::vector<std::string>{"bert.encoder.layer.0.attention.output.dense.lora_A",
                                 "bert.encoder.layer.0.attention.output.dense.lora_B",
                                 "bert.encoder.layer.1.output.dense.lora_A",
                                 "bert.encoder.layer.1.output.dense.lora_B"});
}

TEST_CASE("all parts of a fused layer have matrices of their own", "[adapters]") {
  AdapterOptions options = adapter("lora");
  options.targets = {"bert.encoder.layer.0.attention.self.*"};
  const GoldenModel model("bert-tiny", options);
  CHECK(trained_names(model).size() == 6);
}

TEST_CASE("a target that matches nothing is an error that lists the candidates", "[adapters]") {
  AdapterOptions options = adapter("lora");
  options.targets = {"query", "querry", "encoder.layer.*.output.dense"};
  const std::string message = error_of(options);
  CHECK_THAT(message, Contains("/adapter/targets: \"querry\" matches nothing in this model"));
  CHECK_THAT(message, Contains("\"encoder.layer.*.output.dense\" matches nothing"));
  CHECK_THAT(message, !Contains("\"query\" matches nothing"));
  CHECK_THAT(message, Contains("bert.encoder.layer.*.attention.self.query"));
  CHECK_THAT(message, Contains("bert.encoder.layer.*.output.dense"));
}

TEST_CASE("what is trained whole gets no adapter beside it", "[adapters]") {
  const std::vector<std::string> head = family_of(roberta_shape(768, 12, 12)).head;
  const auto adapted = [&](std::vector<std::string> targets) {
    const auto model = roberta_base();
    AdapterOptions options = adapter("lora");
    options.targets = std::move(targets);
    const Trained trained = inject(*model, options, 1, head);
    std::vector<std::string> paths;
    for (const Slot& slot : linear_slots(*model))
      if (slot.part == 0 && slot.linear->adapter()) paths.push_back(slot.path);
    CHECK(trained.pairs.size() == paths.size());
    return paths;
  };
  const std::vector<std::string> paths = adapted({"dense"});
  CHECK(paths.size() == 12 * 3);
  for (const std::string& path : paths) CHECK(path.starts_with("roberta.encoder."));
  CHECK_THROWS_WITH(adapted({"query", "out_proj"}),
                    Contains("\"out_proj\" names nothing but layers that are trained whole") &&
                        !Contains("\"query\""));
  AdapterOptions options = adapter("mtlora");
  options.targets = {"classifier"};
  CHECK_THAT(error_of(options), Contains("/adapter/targets: \"classifier\"") && Contains("whole"));
}

TEST_CASE("no targets is an error where the method needs some", "[adapters]") {
  AdapterOptions options = adapter("mtlora");
  options.targets = {};
  CHECK_THAT(error_of(options), Contains("needs at least one target"));
  options = adapter("bitfit");
  options.targets = {};
  CHECK(error_of(options) == "no error");
}

TEST_CASE("a part of a fused parameter cannot be trained alone", "[adapters]") {
  AdapterOptions options = adapter("lora");
  options.trainable = {"**.query.weight"};
  CHECK_THAT(error_of(options), Contains("can only be trained together with"));
  options.trainable = {"**.attention.self.*.weight"};
  const GoldenModel model("bert-tiny", options);
  const std::vector<std::string> names = trained_names(model);
  for (const char* part : {"query", "key", "value"})
    CHECK(std::count(names.begin(), names.end(),
                     std::string("bert.encoder.layer.0.attention.self.") + part + ".weight") == 1);
}

TEST_CASE("further tensors are trained beside the adapter", "[adapters]") {
  AdapterOptions options = adapter("lora");
  options.trainable = {"bert.pooler.dense.*"};
  const GoldenModel model("bert-tiny", options);
  const std::vector<std::string> names = trained_names(model);
  CHECK(names.size() == 10);
  CHECK(std::count(names.begin(), names.end(), "bert.pooler.dense.weight") == 1);
  options.trainable = {"pooler.dense.*"};
  CHECK_THAT(error_of(options), Contains("/adapter/trainable: \"pooler.dense.*\""));
}

TEST_CASE("lora_only trains the biases of the adapted parts, all those of the model",
          "[adapters]") {
  const auto biases = [](const char* which) {
    const GoldenModel model("bert-tiny", adapter("lora", {{"bias", which}}));
    std::vector<std::string> names = trained_names(model);
    std::erase_if(names, [](const std::string& n) { return n.find("bias") == std::string::npos; });
    return names;
  };
  CHECK(biases("none").empty());
  CHECK(biases("lora_only") ==
        std::vector<std::string>{"bert.encoder.layer.0.attention.self.query.bias_change",
                                 "bert.encoder.layer.0.attention.self.value.bias_change",
                                 "bert.encoder.layer.1.attention.self.query.bias_change",
                                 "bert.encoder.layer.1.attention.self.value.bias_change"});
  // 2 layers of 6 linears and 2 norms, the embeddings' norm, the pooler
  CHECK(biases("all").size() == 2 * 8 + 2);
}

TEST_CASE("lora_only is refused where there is no bias to train", "[adapters]") {
  const auto inject_into = [](const std::string& target) {
    const LoadedLanguageModel loaded = load_language_model(golden_path("llama-tiny"), 0.0);
    AdapterOptions options = adapter("lora", {{"bias", "lora_only"}});
    options.targets = {target};
    return inject(*loaded.model, options, 1, {}).count();
  };
  CHECK_THROWS_WITH(inject_into("q_proj"),
                    "/adapter/method/bias: lora_only, but none of the adapted "
                    "layers has a bias; none trains the same");
}

TEST_CASE("an unknown method names the nearest", "[adapters]") {
  CHECK_THAT(error_of(adapter("lroa")), Contains("did you mean \"lora\""));
}

namespace {

/// Ranks by the names of the adapted layers, the last two components of each.
std::map<std::string, int64_t> ranks_of(const Trained& trained) {
  std::map<std::string, int64_t> ranks;
  for (const NamedTensor& t : trained.tensors)
    if (const size_t end = t.name.find(".lora_A"); end != std::string::npos)
      ranks[t.name.substr(t.name.find("layer.") + 6, end - t.name.find("layer.") - 6)] =
          t.tensor.size(0);
  return ranks;
}

/// What is wrong with a rank_pattern of these keys, for query and value.
std::string wrong_pattern(std::vector<std::string> keys) {
  Json pattern = Json::object();
  for (const std::string& key : keys) pattern[key] = 2;
  return error_of(adapter("lora", {{"rank_pattern", pattern}}));
}

}  // namespace

TEST_CASE("the first pattern that fits gives a layer its rank", "[adapters]") {
  const auto method = GENERATE(as<std::string>(), "lora", "dora");
  CAPTURE(method);
  const auto ranks = [&](const Json& pattern) {
    const GoldenModel model("bert-tiny",
                            adapter(method.c_str(), {{"rank", 5}, {"rank_pattern", pattern}}));
    return ranks_of(model.trained());
  };
  const std::string query = "attention.self.query", value = "attention.self.value";
  CHECK(ranks({{"value", 3}}) ==
        std::map<std::string, int64_t>{
            {"0." + query, 5}, {"0." + value, 3}, {"1." + query, 5}, {"1." + value, 3}});
  CHECK(ranks({{"**.1.attention.*.value", 2}, {"value", 3}, {"bert.**", 4}}) ==
        std::map<std::string, int64_t>{
            {"0." + query, 4}, {"0." + value, 3}, {"1." + query, 4}, {"1." + value, 2}});
}

TEST_CASE("the parts of GPT-2's c_attn go by its name and by their own", "[adapters]") {
  const auto ranks = [](const Json& pattern) {
    const LoadedLanguageModel loaded = load_language_model(golden_path("gpt2-tiny"), 0.0);
    AdapterOptions options = adapter("lora", {{"rank", 4}, {"rank_pattern", pattern}});
    options.targets = {"c_attn"};
    std::vector<int64_t> all;
    for (const FactorPair& pair : inject(*loaded.model, options, 1, {}).pairs)
      all.push_back(pair.down.size(0));
    all.resize(3);  // of the first layer
    return all;
  };
  CHECK(ranks({{"c_attn", 2}}) == std::vector<int64_t>{2, 2, 2});
  CHECK(ranks({{"value", 1}, {"c_attn", 2}}) == std::vector<int64_t>{2, 2, 1});
}

TEST_CASE("a pattern that would be ignored is an error", "[adapters]") {
  const std::string at = "/adapter/method/rank_pattern: ";
  CHECK_THAT(wrong_pattern({"querry"}),
             Contains(at + "\"querry\" names none of the adapted layers; did you mean \"query\"?"));
  const std::string whole = "bert.encoder.layer.1.attention.self.value";
  CHECK_THAT(wrong_pattern({"bert.encoder.layers.1.attention.self.value"}),
             Contains("did you mean \"" + whole + "\"?"));
  // As PEFT's would be, which fit the end of a path.
  CHECK_THAT(wrong_pattern({"layer.1.attention.self.value"}),
             Contains("a pattern with dots for the whole path") &&
                 Contains("bert.encoder.layer.*.attention.self.value"));
  CHECK_THAT(wrong_pattern({"value", "key", "dense"}), Contains("\"key\" names none") &&
                                                           Contains("\"dense\" names none") &&
                                                           !Contains("\"value\" names none"));
  CHECK_THAT(
      wrong_pattern({"value", "**.1.attention.*.value"}),
      Contains("\"**.1.attention.*.value\" stands behind patterns that name all its layers"));
  CHECK_THAT(error_of(adapter("mtlora", {{"alpha_pattern", {{"querry", 2}}}})),
             Contains("/adapter/method/alpha_pattern: \"querry\""));
  CHECK_THAT(error_of(adapter("dora", {{"rank_pattern", {{"query", 0}}}})),
             Contains("/adapter/method/rank_pattern/query: 0 is not at least 1"));
}

TEST_CASE("starting values depend on seed and path alone", "[adapters]") {
  const auto model = [](uint64_t seed, std::vector<std::string> targets) {
    const LoadedClassifier loaded = load_classifier(golden_path("bert-tiny"), {});
    AdapterOptions options = adapter("lora", {{"rank", 4}});
    options.targets = std::move(targets);
    Tensors values;
    for (const NamedTensor& t : inject(*loaded.model, options, seed, {}).tensors)
      values[t.name] = t.tensor;
    return values;
  };
  const std::string name = "bert.encoder.layer.1.output.dense.lora_A";
  const std::string target = "bert.encoder.layer.*.output.dense";
  const Tensor a = model(1, {target}).at(name);
  CHECK(torch::equal(a, model(1, {"query", target}).at(name)));
  const std::string value = "bert.encoder.layer.0.attention.self.value.lora_A";
  CHECK(torch::equal(model(1, {"value"}).at(value), model(1, {"query", "value"}).at(value)));
  CHECK(!torch::equal(a, model(2, {target}).at(name)));
  CHECK(!torch::equal(a, model(1, {target}).at("bert.encoder.layer.0.output.dense.lora_A")));
  CHECK(a.abs().max().item<float>() <= 1 / std::sqrt(64.0F));
  CHECK(a.std().item<float>() == Approx(1 / std::sqrt(3 * 64.0)).epsilon(0.15));
}
