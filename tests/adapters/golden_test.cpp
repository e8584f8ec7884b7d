// Adapters compute what PEFT (LoRA, rsLoRA) and the equations of MTLoRA and BitFit in Python do:
// logits, loss, every gradient, ten steps.

#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

struct Variant {
  std::string name, method;
  Json options;
  std::vector<std::string> targets = {"query", "value"};
};

Json mtlora_options(const char* structure) {
  return {{"structure", structure}, {"rank", 4}, {"alpha", 8.0}};
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
    {"bitfit", "bitfit", Json::object()},
    {"houlsby", "houlsby", {{"bottleneck", 8}}},
    {"pfeiffer", "pfeiffer", {{"bottleneck", 8}}},
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
  // Positions are projected by the adapted layers too.
  for (Variant variant : {variants[0], variants[3]}) {
    variant.targets = {"query_proj", "value_proj"};
    all.push_back({"deberta-v3-tiny", variant});
  }
  return all;
}

AdapterOptions options_of(const Variant& v) {
  AdapterOptions options;
  options.targets = v.targets;
  options.method = {v.method, v.options};
  return options;
}

/// Ours -> the golden's: PEFT's matrices are lora_A and lora_B, the golden's A and B.
std::string golden_name(std::string name) {
  const size_t at = name.rfind(".lora_");
  return at == std::string::npos ? name : name.replace(at, 6, ".");
}

/// Writes the golden's starting values; every trained tensor has one and every one is used.
void start_from(GoldenModel& model, const Tensors& want) {
  const torch::NoGradGuard no_grad;
  for (const NamedTensor& t : model.trained().tensors) {
    INFO(t.name);
    REQUIRE(want.count("adapter/" + golden_name(t.name)) == 1);
    const Tensor& value = want.at("adapter/" + golden_name(t.name));
    REQUIRE(t.tensor.sizes() == value.sizes());
    t.tensor.copy_(value);
  }
  const auto count = std::count_if(want.begin(), want.end(),
                                   [](const auto& t) { return t.first.starts_with("adapter/"); });
  CHECK(static_cast<int64_t>(model.trained().tensors.size()) == count);
}

void settle(Classifier& model) {
  for (const Slot& slot : linear_slots(model)) slot.linear->settle();
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
