// Loading accounts for every tensor of the checkpoint and of the model, by name.

#include "lib/core/error.h"
#include "lib/weights/safetensors.h"
#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

/// A folder with a golden model's config and the tensors that `change` leaves of its weights.
class Changed {
 public:
  Changed(const std::string& model, const std::function<void(Tensors&)>& change) {
    Tensors tensors = golden(model + "/model.safetensors");
    change(tensors);
    std::filesystem::copy(golden_path(model + "/config.json"), folder_ / "config.json");
    write_safetensors(folder_ / "model.safetensors", {tensors.begin(), tensors.end()});
  }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TempDir folder_;
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

/// Every name with `from` replaced by `to`; at least one has it.
void rename_all(Tensors& tensors, const std::string& from, const std::string& to) {
  Tensors renamed;
  size_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::string now = replaced(name, from, to);
    count += now != name;
    renamed[now] = tensor;
  }
  REQUIRE(count > 0);
  tensors = renamed;
}

LoadOptions new_head(int64_t outputs, uint64_t seed = 0) {
  return {outputs, std::nullopt, seed};
}

std::string error_of(const std::filesystem::path& folder, const LoadOptions& options = {}) {
  try {
    load_classifier(folder, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const std::string query = "bert.encoder.layer.1.attention.self.query.weight";

}  // namespace

TEST_CASE("every missing tensor and every wrong shape is named", "[models]") {
  const Changed changed("bert-tiny", [](Tensors& t) {
    t.erase(query);
    t.erase("bert.embeddings.LayerNorm.bias");
    t["bert.encoder.layer.0.output.dense.weight"] = at::zeros({32, 65});
  });
  const std::string message = error_of(changed.folder());
  CHECK_THAT(message, Contains((changed.folder() / "model.safetensors").string()));
  CHECK_THAT(message, Contains(query + ": missing"));
  CHECK_THAT(message, Contains("bert.embeddings.LayerNorm.bias: missing"));
  CHECK_THAT(message,
             Contains("bert.encoder.layer.0.output.dense.weight: shape [32, 65], wanted [32, 64]"));
  CHECK(std::count(message.begin(), message.end(), '\n') == 3);
}

TEST_CASE("a base tensor is never drawn anew", "[models]") {
  const Changed changed("roberta-tiny", [](Tensors& t) {
    t.erase("roberta.encoder.layer.0.attention.output.dense.bias");
  });
  CHECK_THAT(error_of(changed.folder(), new_head(2)),
             Contains("roberta.encoder.layer.0.attention.output.dense.bias: missing"));
}

TEST_CASE("tensors without a place in the model are listed", "[models]") {
  const Changed changed("bert-tiny", [](Tensors& t) {
    t["bert.encoder.layer.2.output.dense.bias"] = at::zeros({32});
    t["bert.embeddings.position_ids"] = at::arange(64);  // a buffer of older checkpoints
    t["cls.predictions.bias"] = at::zeros({100});        // the head of pre-training
  });
  const LoadedClassifier loaded = load_classifier(changed.folder(), {});
  CHECK(loaded.unused == std::vector<std::string>{"bert.encoder.layer.2.output.dense.bias"});
  CHECK(loaded.initialised.empty());
}

TEST_CASE("a checkpoint without a head is refused unless a new one is asked for", "[models]") {
  const Changed changed("bert-tiny", [](Tensors& t) {
    t.erase("classifier.weight");
    t.erase("classifier.bias");
  });
  CHECK_THAT(error_of(changed.folder()), Contains("classifier.weight: missing"));
  const LoadedClassifier loaded = load_classifier(changed.folder(), new_head(4, 3));
  CHECK(loaded.initialised == std::vector<std::string>{"classifier.weight", "classifier.bias"});
  const auto parameters = loaded.model->named_parameters();
  CHECK(parameters["classifier.weight"].sizes() == at::IntArrayRef({4, 32}));
  CHECK(parameters["classifier.bias"].abs().max().item<float>() == 0);
  CHECK(parameters["classifier.weight"].std().item<float>() == Approx(0.2).epsilon(0.3));
}

TEST_CASE("a new head depends on the seed alone", "[models]") {
  const auto head = [](uint64_t seed) {
    const auto loaded = load_classifier(golden_path("roberta-tiny"), new_head(3, seed));
    CHECK(loaded.initialised.size() == 2);  // dense has the right shape and stays
    return loaded.model->named_parameters()["classifier.out_proj.weight"];
  };
  CHECK(torch::equal(head(1), head(1)));
  CHECK(!torch::equal(head(1), head(2)));
}

TEST_CASE("old names of norms load as the new ones", "[models]") {
  const Changed changed("bert-tiny", [](Tensors& t) {
    rename_all(t, "LayerNorm.weight", "LayerNorm.gamma");
    rename_all(t, "LayerNorm.bias", "LayerNorm.beta");
  });
  GoldenModel as_is("bert-tiny");
  const LoadedClassifier loaded = load_classifier(changed.folder(), {});
  CHECK(loaded.unused.empty());
  CHECK(torch::equal(loaded.model->logits(as_is.batch(), {}),
                     as_is.model().logits(as_is.batch(), {})));
}

TEST_CASE("a bare encoder without prefix loads", "[models]") {
  const Changed changed("bert-tiny", [](Tensors& t) {
    t.erase("classifier.weight");
    t.erase("classifier.bias");
    rename_all(t, "bert.", "");
    rename_all(t, "LayerNorm.weight", "LayerNorm.gamma");
    rename_all(t, "LayerNorm.bias", "LayerNorm.beta");
  });
  GoldenModel as_is("bert-tiny");
  const LoadedClassifier loaded = load_classifier(changed.folder(), new_head(3));
  CHECK(loaded.unused.empty());
  CHECK(loaded.initialised == std::vector<std::string>{"classifier.weight", "classifier.bias"});
  const auto got = loaded.model->hidden_states(as_is.batch(), {});
  const auto want = as_is.model().hidden_states(as_is.batch(), {});
  for (size_t i = 0; i < want.size(); ++i) CHECK(torch::equal(got[i], want[i]));
}

TEST_CASE("two tensors of one name are refused", "[models]") {
  const Changed changed("bert-tiny",
                        [](Tensors& t) { t["bert.embeddings.LayerNorm.gamma"] = at::ones({32}); });
  CHECK_THAT(error_of(changed.folder()),
             Contains("two tensors are called bert.embeddings.LayerNorm.weight"));
}

TEST_CASE("the fingerprint is that of the base", "[models]") {
  const auto fingerprint = [](const std::filesystem::path& folder, std::optional<int64_t> outputs) {
    return load_classifier(folder, {outputs, std::nullopt}).fingerprint;
  };
  const std::string whole = fingerprint(golden_path("bert-tiny"), std::nullopt);
  CHECK(whole.size() == 32);
  CHECK(whole == fingerprint(golden_path("bert-tiny"), std::nullopt));
  const Changed changed("bert-tiny", [](Tensors& t) { t[query] = t.at(query) + 1e-3; });
  CHECK(whole != fingerprint(changed.folder(), std::nullopt));
}

TEST_CASE("weights that are no floating-point numbers are refused", "[models]") {
  const Changed changed("bert-tiny", [](Tensors& t) {
    t[query] = t.at(query).to(at::kChar);
    t["bert.embeddings.LayerNorm.bias"] = at::ones({32}, at::kBool);
    t["classifier.bias"] = t.at("classifier.bias").to(at::kHalf);
  });
  const std::string message = error_of(changed.folder());
  CHECK_THAT(message, Contains(query + ": Char, wanted floating-point numbers"));
  CHECK_THAT(message, Contains("bert.embeddings.LayerNorm.bias: Bool, wanted floating"));
  CHECK(std::count(message.begin(), message.end(), '\n') == 2);
}

TEST_CASE("an output embedding beside a tied one is read nowhere: it has to be the same",
          "[models]") {
  const auto [model, words] =
      GENERATE(std::pair<std::string, std::string>{"gpt2-tiny", "transformer.wte.weight"},
               std::pair<std::string, std::string>{"llama-tiny", "model.embed_tokens.weight"});
  const auto load = [&](double change) {
    const Changed changed(model, [&](Tensors& t) { t["lm_head.weight"] = t.at(words) + change; });
    return load_language_model(changed.folder(), std::nullopt);
  };
  CHECK(load(0).unused.empty());
  CHECK_THROWS_WITH(load(1e-3), Contains("model.safetensors: ") && Contains("lm_head.weight") &&
                                    Contains("tie_word_embeddings"));
}
