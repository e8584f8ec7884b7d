// The language models compute what Hugging Face's do: logits, the loss of completions with label
// smoothing, every gradient and ten AdamW steps, in full and with LoRA (PEFT) and MTLoRA.

#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

const std::vector<std::string> models{"gpt2-tiny", "gpt2-tiny-untied", "llama-tiny",
                                      "llama-tiny-scaled", "llama-tiny-linear"};

/// The examples of a golden's flat batch of texts.
EncodedSet golden_texts(Tensors golden) {
  golden["labels"] = at::zeros({golden.at("lengths").size(0)}, at::kLong);
  return golden_set(golden);
}

class GoldenText {
 public:
  explicit GoldenText(const std::string& name, const AdapterOptions& adapter = GoldenModel::full())
      : golden_(golden(name + "/golden.safetensors")),
        loaded_(load_language_model(golden_path(name), std::nullopt)),
        set_(golden_texts(golden_)),
        trained_(inject(*loaded_.model, adapter, 1, {})) {
    REQUIRE(set_.size() == 5);
    REQUIRE(set_.tokens() == 68);
    REQUIRE(loaded_.unused.empty());
    move_to(OnPath::device(), *loaded_.model, trained_);
  }

  /// Gives what is trained the golden's values. `rename`: our names → the golden's.
  template <class Rename>
  void start_from(const Tensors& want, const Rename& rename) {
    const torch::NoGradGuard no_grad;
    for (const NamedTensor& t : trained_.tensors) {
      INFO(t.name);
      REQUIRE(want.count("adapter/" + rename(t.name)) == 1);
      t.tensor.copy_(want.at("adapter/" + rename(t.name)));
    }
  }

  void check(const Tensors& want, const GoldenTraining::Rename& rename = {}) {
    check_logits(want.at("logits"));
    const TextObjective objective(*loaded_.model, set_, 0.1);
    GoldenTraining(objective, trained_, want, rename).check();
  }

  void check_logits(const Tensor& want) {
    const torch::NoGradGuard no_grad;
    const Batch batch =
        on_device(collate(set_, items_until(set_.size()), {}), loaded_.model->device());
    AttendWithin attend(batch.packing);
    const Tensor hidden = loaded_.model->hidden(batch.ids, batch.positions, attend, {});
    check_close("logits", loaded_.model->logits(hidden), want, output_tolerance);
  }

  LanguageModel& model() { return *loaded_.model; }
  const Tensors& batch_golden() const { return golden_; }

 private:
  Tensors golden_;
  LoadedLanguageModel loaded_;
  EncodedSet set_;
  Trained trained_;
};

std::string without_adapter(std::string name) {
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{".adapter.", "."}, {"lora_A", "A"}, {"lora_B", "B"}})
    if (const size_t at = name.find(from); at != std::string::npos)
      name.replace(at, from.size(), to);
  return name;
}

AdapterOptions adapter(const Json& method, std::vector<std::string> targets) {
  AdapterOptions options;
  options.targets = std::move(targets);
  options.method = {method.at("name"), method};
  options.method.options.erase("name");
  return options;
}

}  // namespace

TEST_CASE("full fine-tuning of a language model is Hugging Face's", "[models]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(from_range(models));
  CAPTURE(name, name_of(path));
  const OnPath guard(path);
  GoldenText text(name);
  text.check(text.batch_golden());
}

TEST_CASE("LoRA in a language model is PEFT's", "[models]") {
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  const Json lora = {{"name", "lora"}, {"rank", 4}, {"alpha", 8}};
  const bool is_llama = GENERATE(false, true);
  const std::string name = is_llama ? "llama-tiny" : "gpt2-tiny";
  const Tensors want = golden(name + (is_llama ? "/lora.safetensors" : "/lora-fc.safetensors"));
  using Names = std::vector<std::string>;
  GoldenText text(name,
                  adapter(lora, is_llama ? Names{"q_proj", "v_proj", "down_proj"} : Names{"c_fc"}));
  text.start_from(want, without_adapter);
  text.check(want, without_adapter);
}

TEST_CASE("MTLoRA has one core over the parts of GPT-2's c_attn", "[models]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto structure = GENERATE(as<std::string>(), "shim", "icfm", "ctcm", "dtsm");
  CAPTURE(structure, name_of(path));
  const OnPath guard(path);
  const Json method = {{"name", "mtlora"}, {"structure", structure}, {"rank", 4}, {"alpha", 8}};
  const Tensors want = golden("gpt2-tiny/" + structure + ".safetensors");
  GoldenText text("gpt2-tiny", adapter(method, {"c_attn", "c_fc"}));
  text.start_from(want, without_adapter);
  text.check(want, without_adapter);
}

TEST_CASE("settled weights of a language model give the same logits", "[models]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(from_range(models));
  CAPTURE(name, name_of(path));
  const OnPath guard(path);
  GoldenText text(name);
  for (Tensor& p : text.model().parameters()) p.set_requires_grad(false);
  for (const Slot& slot : linear_slots(text.model())) slot.linear->settle();
  text.model().settle_head();
  text.check_logits(text.batch_golden().at("logits"));
}
