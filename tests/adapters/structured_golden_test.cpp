// MoRA, ReMoRA, XGBLoRA, LoRTA and Deep LoRA compute what their equations in Python do: logits,
// loss, every gradient, ten steps with restarts among them, and the logits after those.

#include "tests/adapters/golden_adapter.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

const std::vector<std::string> with_feed_forward{"query", "value",
                                                 "bert.encoder.layer.*.output.dense"};
const std::vector<std::string> attention{"query", "key", "value", "**.attention.output.dense"};

const std::vector<Variant> variants{
    {"mora-1", "mora", {{"type", "1"}, {"rank", 3}}, with_feed_forward},
    {"mora-6", "mora", {{"type", "6"}, {"rank", 3}}, with_feed_forward},
    {"remora",
     "mora",
     {{"restart_steps", 2}, {"cycle", "1-2-3-4"}, {"restart_warmup", 2}, {"rank", 3}},
     with_feed_forward},
    {"xgblora",
     "xgblora",
     {{"boosters", 3}, {"booster_steps", 4}, {"sampled_layers", 2}, {"rank", 2}}},
    {"lorta", "lorta", {{"rank", 3}, {"alpha", 6.0}}},
    {"lorta-4", "lorta", {{"rank", 3}, {"alpha", 6.0}}, attention},
    {"lorta-official", "lorta", {{"rank", 3}, {"alpha", 6.0}, {"official", true}}, attention},
    {"deep-lora", "deep_lora", {{"rank", 4}}, with_feed_forward},
    {"deep-lora-compressed",
     "deep_lora",
     {{"rank", 4}, {"compressed", true}, {"gamma", 0.1}},
     with_feed_forward},
};

/// Writes the factors that the golden's booster begins with, where a step ends one.
size_t write_draws(const GoldenModel& model, const Tensors& want, int64_t step) {
  const torch::NoGradGuard no_grad;
  size_t written = 0;
  if ((step + 1) % 4 != 0) return written;
  for (const NamedTensor& t : model.trained().tensors) {
    const auto found = want.find("draw/" + std::to_string((step + 1) / 4) + "/" + t.name);
    if (found == want.end()) continue;
    CHECK(t.tensor.any().item<bool>());  // a fresh draw of ours stands there
    t.tensor.copy_(found->second);
    ++written;
  }
  return written;
}

}  // namespace

TEST_CASE("structured adapters train as their equations", "[adapters]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto variant = GENERATE(from_range(variants));
  CAPTURE(name_of(path), variant.name);
  const OnPath guard(path);
  GoldenModel model("bert-tiny-wide", options_of(variant));
  const Tensors want = golden("bert-tiny-wide/" + variant.name + ".safetensors");
  model.trained().set->begin({.total_steps = 10, .step = 0, .seed = 1});
  start_from(model, want);
  settle(model.model());
  size_t drawn = 0;
  model.check_training(want, {}, [&](int64_t step) { drawn += write_draws(model, want, step); });
  CHECK(drawn == (variant.method == "xgblora" ? 2 * 4 : 0));
  // What has joined the weights on the way is there too, merged or not.
  const torch::NoGradGuard no_grad;
  const Tensor& final = want.at("final.logits");
  check_close("final.logits", model.model().logits(model.batch(), {}), final, training_tolerance);
  merge_adapters(model.model());
  for (const NamedTensor& t : named_tensors(model.model())) {
    INFO(t.name);
    CHECK((t.name.starts_with("bert.") || t.name.starts_with("classifier.")));
  }
  check_close("merged", model.model().logits(model.batch(), {}), final, training_tolerance);
}
