// The encoders compute what Hugging Face's do: hidden states, logits, loss, every gradient and ten
// AdamW steps of full fine-tuning, by the kernels and by the plain path.

#include "tests/models/golden_model.h"
// LibTorch before it
#include "lib/models/bert_encoder.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

const std::vector<std::string> models{
    "bert-tiny",       "bert-tiny-wide",  "bert-tiny-regression", "roberta-tiny",
    "deberta-v3-tiny", "deberta-v2-tiny", "deberta-v2-c2p-tiny",  "deberta-v2-p2c-tiny"};

}  // namespace

TEST_CASE("hidden states are Hugging Face's", "[models]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(from_range(models));
  CAPTURE(name, name_of(path));
  const OnPath guard(path);
  GoldenModel model(name);
  const torch::NoGradGuard no_grad;
  const std::vector<Tensor> states = model.model().hidden_states(model.batch(), {});
  REQUIRE(states.size() == 3);
  for (size_t i = 0; i < states.size(); ++i) {
    const std::string state = "hidden." + std::to_string(i);
    check_close(state, states[i], model.batch_golden().at(state), output_tolerance);
  }
}

TEST_CASE("full fine-tuning is Hugging Face's: logits, loss, gradients, ten steps", "[models]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(from_range(models));
  CAPTURE(name, name_of(path));
  const OnPath guard(path);
  GoldenModel model(name);
  model.check_training(model.batch_golden());
}

TEST_CASE("settled weights give the same outputs", "[models]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(from_range(models));
  CAPTURE(name, name_of(path));
  const OnPath guard(path);
  GoldenModel model(name);
  for (Tensor& p : model.model().parameters()) p.set_requires_grad(false);
  for (const Slot& slot : linear_slots(model.model())) slot.linear->settle();
  model.check_outputs(model.batch_golden());
}

TEST_CASE("all-MiniLM-L6-v2 encodes as in Hugging Face", "[models]") {
  const auto folder = source_root() / "models" / "minilm";
  if (!available(folder)) return;
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  const torch::NoGradGuard no_grad;
  Tensors want = golden("minilm.safetensors");
  want["segments"] = at::zeros_like(want.at("ids"));
  want["labels"] = at::zeros({want.at("lengths").size(0)}, at::kLong);
  const EncodedSet set = golden_set(want);
  REQUIRE(set.size() == 8);
  const Batch batch = on_device(collate(set, items_until(set.size()), {}), OnPath::device());

  const LoadedClassifier loaded = load_classifier(folder, {.outputs = 2, .dropout = std::nullopt});
  Trained none;
  move_to(OnPath::device(), *loaded.model, none);
  CHECK(loaded.initialised == std::vector<std::string>{"classifier.weight", "classifier.bias"});
  CHECK(loaded.unused.empty());
  const std::vector<Tensor> states = loaded.model->hidden_states(batch, {});
  check_close("cls", states.back().index_select(0, batch.first), want.at("cls"), output_tolerance);
  std::vector<double> means;
  for (const Tensor& state : states) means.push_back(state.abs().mean().item<double>());
  check_close("mean_abs", at::tensor(means), want.at("mean_abs"), output_tolerance);
  auto* encoder = loaded.model->named_children()["bert"]->as<BertEncoderImpl>();
  REQUIRE(encoder);
  check_close("pooled", encoder->pooled(batch, {}), want.at("pooled"), output_tolerance);
}
