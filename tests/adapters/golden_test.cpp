// Adapters compute what PEFT (LoRA, rsLoRA, DoRA), torch's parameter groups (LoRA+) and the
// equations of the others in Python do: logits, loss, every gradient, ten steps.

#include "tests/adapters/golden_adapter.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Json mtlora_options(const char* structure) {
  return {{"structure", structure}, {"rank", 4}, {"alpha", 8.0}};
}

/// The options with the goldens' unlike ranks and alphas (scripts/golden/adapters.py); "value" of
/// layer 0 is named twice.
Json with_patterns(Json options) {
  options["rank_pattern"] = {{"**.layer.0.attention.self.value", 2}, {"value", 6}};
  options["alpha_pattern"] = {{"query", 5}, {"**.layer.1.attention.self.value", 3.5}};
  return options;
}

const std::vector<Variant> variants{
    {"lora", "lora", {{"rank", 4}, {"alpha", 8.0}}},
    {"rslora", "lora", {{"rank", 4}, {"alpha", 8.0}, {"rslora", true}}},
    {"shim", "mtlora", mtlora_options("shim")},
    {"icfm", "mtlora", mtlora_options("icfm")},
    {"ctcm", "mtlora", mtlora_options("ctcm")},
    {"dtsm", "mtlora", mtlora_options("dtsm")},
    {"icfm-4",
     "mtlora",
     mtlora_options("icfm"),
     {"query", "value", "*.encoder.layer.*.intermediate.dense", "*.encoder.layer.*.output.dense"}},
    {"lora-patterns", "lora", with_patterns({{"rank", 4}, {"alpha", 8.0}})},
    {"rslora-patterns", "lora", with_patterns({{"rank", 4}, {"alpha", 8.0}, {"rslora", true}})},
    {"icfm-patterns", "mtlora", with_patterns(mtlora_options("icfm"))},
    {"dtsm-patterns", "mtlora", with_patterns(mtlora_options("dtsm"))},
    {"bitfit", "bitfit", Json::object()},
    {"houlsby", "houlsby", {{"bottleneck", 8}}},
    {"pfeiffer", "pfeiffer", {{"bottleneck", 8}}},
};

Json hta_options(const char* form, const char* householder) {
  return {{"form", form}, {"householder", householder}, {"rank", 1}};
}

/// On bert-tiny-wide alone.
const std::vector<Variant> further{
    {"dora", "dora", {{"rank", 4}, {"alpha", 8.0}}},
    {"dora-patterns", "dora", with_patterns({{"rank", 4}, {"alpha", 8.0}})},
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

/// A variant and the model that it adapts.
struct Pair {
  std::string base;
  Variant variant;
};

std::vector<Pair> pairs() {
  std::vector<Pair> all;
  for (const char* base : {"bert-tiny-wide", "roberta-tiny"})
    for (const Variant& variant : variants) all.push_back({base, variant});
  for (const Variant& variant : further) all.push_back({"bert-tiny-wide", variant});
  // Positions are projected by the adapted layers too.
  for (Variant variant : {variants[0], variants[3]}) {
    variant.targets = {"query_proj", "value_proj"};
    all.push_back({"deberta-v3-tiny", variant});
  }
  return all;
}

}  // namespace

TEST_CASE("adapters train as in the goldens", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto [base, variant] = GENERATE(from_range(pairs()));
  CAPTURE(name_of(path), base, variant.name);
  const OnPath guard(path);
  GoldenModel model(base, options_of(variant));
  const Tensors want = golden(base + "/" + variant.name + ".safetensors");
  start_from(model, want);
  settle(model.model());
  model.check_training(want, golden_name);
}

TEST_CASE("merged adapters give the goldens' outputs; others are refused", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto [base, variant] = GENERATE(from_range(pairs()));
  CAPTURE(name_of(path), base, variant.name);
  const OnPath guard(path);
  GoldenModel model(base, options_of(variant));
  const Tensors want = golden(base + "/" + variant.name + ".safetensors");
  start_from(model, want);
  settle(model.model());
  model.check_outputs(want);  // so that there is something rearranged to be forgotten
  if (!adapter_method(variant.method).merges) {
    CHECK_THROWS_WITH(merge_adapters(model.model()), Catch::Matchers::Contains("cannot be merged"));
    return;
  }
  merge_adapters(model.model());
  model.check_outputs(want);
  for (const Slot& slot : linear_slots(model.model())) CHECK(!slot.linear->adapter());
}

TEST_CASE("our names of LoRA's tensors are PEFT's below the base model's prefix", "[adapters]") {
  const GoldenModel model("bert-tiny-wide", options_of(variants[0]));
  const auto file = open_weights(golden_path("bert-tiny-wide/peft-lora/adapter_model.safetensors"));
  size_t found = 0;
  for (const NamedTensor& t : model.trained().tensors) {
    if (t.name.find(".lora_") == std::string::npos) continue;
    const std::string name = "base_model.model." + t.name + ".weight";
    INFO(name);
    REQUIRE(file->has(name));
    CHECK(file->read(name).sizes() == t.tensor.sizes());
    ++found;
  }
  CHECK(found == 8);
}

TEST_CASE("DoRA's magnitudes start where PEFT's do", "[adapters]") {
  const GoldenModel model("bert-tiny-wide", options_of(further[0]));
  const Tensors want = golden("bert-tiny-wide/dora.safetensors");
  size_t compared = 0;
  for (const NamedTensor& t : model.trained().tensors) {
    if (!t.name.ends_with(".lora_magnitude_vector")) continue;
    check_close(t.name, t.tensor, want.at("start/" + t.name), 1e-6);
    ++compared;
  }
  CHECK(compared == 4);
}
