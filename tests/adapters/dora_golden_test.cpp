// DoRA computes what PEFT does, LoRA+ what torch's parameter groups do, LoRA-Mini and HTA what
// their equations in Python do: logits, loss, every gradient, ten steps. See
// scripts/golden/dora.py.

#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

struct Variant {
  std::string name, method;
  Json options;
  std::vector<std::string> targets = {"query", "value"};
};

Json hta_options(const char* form, const char* householder) {
  return {{"form", form}, {"householder", householder}, {"rank", 1}};
}

const std::vector<Variant> variants{
    {"dora", "dora", {{"rank", 4}, {"alpha", 8.0}}},
    {"lora-plus", "lora", {{"rank", 4}, {"alpha", 8.0}, {"lr_ratio", 16.0}}},
    {"lora-mini", "lora_mini", {{"rank", 4}, {"alpha", 8.0}, {"a", 12}, {"b", 10}}},
    {"hta", "hta", hta_options("lora", "literal"), {"query", "value", "**.intermediate.dense"}},
    {"hta-strict",
     "hta",
     hta_options("lora", "strict"),
     {"query", "value", "*.encoder.layer.0.output.dense"}},
    {"hta-adapter",
     "hta",
     hta_options("adapter", "strict"),
     {"**.attention.output.dense", "*.encoder.layer.*.output.dense"}},
};

AdapterOptions options_of(const Variant& v) {
  AdapterOptions options;
  options.targets = v.targets;
  options.method = {v.method, v.options};
  return options;
}

/// Ours -> the golden's: PEFT's matrices are lora_A and lora_B, the golden's A and B.
std::string golden_name(std::string name) {
  for (const char* ours : {".lora_A", ".lora_B"})
    if (name.ends_with(ours)) name.replace(name.size() - 6, 5, "");
  return name;
}

void start_from(GoldenModel& model, const Tensors& want) {
  const torch::NoGradGuard no_grad;
  for (const NamedTensor& t : model.trained().tensors) {
    INFO(t.name);
    REQUIRE(want.count("adapter/" + golden_name(t.name)) == 1);
    t.tensor.copy_(want.at("adapter/" + golden_name(t.name)));
  }
  const auto count = std::count_if(want.begin(), want.end(),
                                   [](const auto& t) { return t.first.starts_with("adapter/"); });
  CHECK(static_cast<int64_t>(model.trained().tensors.size()) == count);
}

void settle(Classifier& model) {
  for (const Slot& slot : linear_slots(model)) slot.linear->settle();
}

}  // namespace

TEST_CASE("DoRA, LoRA+, LoRA-Mini and HTA train as in the goldens", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto variant = GENERATE(from_range(variants));
  CAPTURE(name_of(path), variant.name);
  const OnPath guard(path);
  GoldenModel model("bert-tiny-wide", options_of(variant));
  const Tensors want = golden("bert-tiny-wide/" + variant.name + ".safetensors");
  start_from(model, want);
  settle(model.model());
  model.check_training(want, golden_name);
}

TEST_CASE("merged, they give the goldens' outputs", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto variant = GENERATE(from_range(variants));
  CAPTURE(name_of(path), variant.name);
  const OnPath guard(path);
  GoldenModel model("bert-tiny-wide", options_of(variant));
  const Tensors want = golden("bert-tiny-wide/" + variant.name + ".safetensors");
  start_from(model, want);
  merge_adapters(model.model());
  model.check_outputs(want);
}

TEST_CASE("DoRA's magnitudes start where PEFT's do", "[adapters]") {
  const GoldenModel model("bert-tiny-wide", options_of(variants[0]));
  const Tensors want = golden("bert-tiny-wide/dora.safetensors");
  size_t compared = 0;
  for (const NamedTensor& t : model.trained().tensors) {
    if (!t.name.ends_with(".lora_magnitude_vector")) continue;
    check_close(t.name, t.tensor, want.at("start/" + t.name), 1e-6);
    ++compared;
  }
  CHECK(compared == 4);
}
