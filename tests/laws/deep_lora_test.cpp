// Deep LoRA's start: orthogonal factors of the size ε; the compressed form's outer factors against
// the null-space construction of the authors' code, and made from a model's first batch.

#include "lib/adapters/deep_lora_start.h"
#include "lib/core/error.h"
#include "lib/train/first_gradients.h"
#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

AdapterOptions options_of(const Json& options,
                          std::vector<std::string> targets = {"query", "value"}) {
  AdapterOptions all;
  all.targets = std::move(targets);
  all.method = {"deep_lora", options};
  return all;
}

Tensor of(const GoldenModel& model, const std::string& name) {
  for (const NamedTensor& t : model.trained().tensors)
    if (t.name == "bert.encoder.layer.1." + name) return t.tensor.to(torch::kDouble);
  FAIL("there is no " << name);
  return {};
}

/// mᵀ m, or m mᵀ where m has fewer rows.
Tensor gram(const Tensor& m) {
  return m.size(0) >= m.size(1) ? m.t().mm(m) : m.mm(m.t());
}

Tensor unit(int64_t n) {
  return torch::eye(n, torch::kDouble);
}

}  // namespace

TEST_CASE("orthogonal matrices are, in every direction alike", "[laws]") {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{7, 7}, {40, 8}, {8, 40}}) {
    const Tensor q = orthogonal(rows, columns, 5);
    CHECK(q.sizes() == std::vector<int64_t>{rows, columns});
    CHECK(distance(gram(q.to(torch::kDouble)), unit(std::min(rows, columns))) < 1e-6);
    CHECK(torch::equal(q, orthogonal(rows, columns, 5)));
    CHECK(!torch::equal(q, orthogonal(rows, columns, 6)));
  }
  // Without the sign of R's diagonal the first entry would always be negative.
  int positive = 0;
  for (uint64_t key = 0; key < 200; ++key)
    positive += orthogonal(5, 3, key)[0][0].item<double>() > 0;
  CHECK(positive > 70);
  CHECK(positive < 130);
}

TEST_CASE("Deep LoRA's narrow factors start orthogonal times epsilon", "[laws]") {
  const GoldenModel model("bert-tiny-wide", options_of({{"rank", 8}, {"epsilon", 1e-3}}));
  for (const char* name : {"W1", "W2", "W3"}) {
    CAPTURE(name);
    const Tensor w = of(model, std::string("attention.self.query.") + name);
    CHECK(distance(gram(w), 1e-6 * unit(8)) < 1e-12);
  }
}

TEST_CASE("the compressed start is the null-space construction of the code", "[laws]") {
  const auto name = GENERATE(as<std::string>(), "12-12", "8-14", "14-8");
  CAPTURE(name);
  const Tensors want = golden("deep_lora_start.safetensors");
  const auto at = [&](const char* what) { return want.at(name + "/" + what); };
  REQUIRE(at("gradient").scalar_type() == torch::kDouble);
  const OuterFactors got = compressed_start(at("gradient"), at("product"), 4);
  // The basis is any of its span: what does not depend on it are the projectors and the product.
  check_close("right", got.right.mm(got.right.t()), at("right"), 1e-12);
  check_close("left", got.left.mm(got.left.t()), at("left"), 1e-12);
  check_close("change", got.right.mm(got.left.t()), at("change"), 1e-12);
  if (name == "12-12") CHECK(distance(gram(got.left), unit(4)) < 1e-12);
}

TEST_CASE("the first step's gradients are those of full fine-tuning", "[laws]") {
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  const std::vector<std::string> targets{"query", "value", "bert.encoder.layer.*.output.dense"};
  GoldenModel model("bert-tiny-wide",
                    options_of({{"rank", 4}, {"compressed", true}, {"gamma", 0.0}}, targets));
  for (const Slot& slot : linear_slots(model.model())) slot.linear->settle();
  const LabelObjective objective(model.model(), model.set(), model.collate_options(), 0);
  const auto gradients =
      weight_gradients(model.model(), objective, {items_until(2), items_until(5, 2)});
  const Tensors& want = model.batch_golden();
  REQUIRE(gradients.size() == 4);  // query-key-value and output of two layers
  for (int64_t layer = 0; layer < 2; ++layer) {
    const std::string at = "grad/bert.encoder.layer." + std::to_string(layer);
    const Tensor& fused = gradients[static_cast<size_t>(2 * layer)];
    check_close("query", fused.narrow(0, 0, 64), want.at(at + ".attention.self.query.weight"),
                output_tolerance);
    check_close("value", fused.narrow(0, 128, 64), want.at(at + ".attention.self.value.weight"),
                output_tolerance);
    check_close("output", gradients[static_cast<size_t>(2 * layer + 1)],
                want.at(at + ".output.dense.weight"), output_tolerance);
  }
  for (const Slot& slot : linear_slots(model.model()))
    if (slot.linear->adapter()) CHECK(!slot.linear->weight.requires_grad());
  model.check_outputs(want);  // settled again, and the same
}

TEST_CASE("the compressed form starts within the first gradient's leading directions", "[laws]") {
  GoldenModel model("bert-tiny-wide", options_of({{"rank", 4}, {"compressed", true}}));
  AdapterSet& set = *model.trained().set;
  CHECK(set.wants_weight_gradients());
  CHECK(!GoldenModel("bert-tiny-wide", options_of({{"rank", 4}}))
             .trained()
             .set->wants_weight_gradients());
  CHECK(set.lr_scale("left") == 1e-2);
  CHECK(set.lr_scale("W1") == 1);
  const Tensor random = of(model, "attention.self.query.right");
  CHECK(distance(gram(random), unit(4)) < 1e-6);
  const LabelObjective objective(model.model(), model.set(), model.collate_options(), 0);
  initialise_from({items_until(5)}, model.model(), objective, set);
  const Tensor gradient =
      model.batch_golden().at("grad/bert.encoder.layer.1.attention.self.query.weight");
  const auto [u, s, vt] = torch::linalg_svd(gradient.to(torch::kDouble), false);
  const Tensor left = of(model, "attention.self.query.left");
  const Tensor right = of(model, "attention.self.query.right");
  CHECK(distance(gram(left), unit(4)) < 1e-6);
  CHECK(distance(gram(right), unit(4)) < 1e-6);
  // The leading singular vectors lie in the spans.
  const auto outside = [](const Tensor& basis, const Tensor& v) {
    return (v - basis.mm(basis.t().mm(v))).norm().item<double>();
  };
  CHECK(outside(right, u.narrow(1, 0, 2)) < 1e-4);
  CHECK(outside(left, vt.narrow(0, 0, 2).t()) < 1e-4);
  CHECK(outside(random, u.narrow(1, 0, 2)) > 0.5);
}

TEST_CASE("Deep LoRA has no pair for LoRA-RITE: W2 stands between", "[laws]") {
  CHECK(GoldenModel("bert-tiny-wide", options_of({{"rank", 4}})).trained().pairs.empty());
}

TEST_CASE("a rate of Deep LoRA's outer factors is refused where there are none", "[laws]") {
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(adapter_method("deep_lora").start({{"gamma", 0.5}}),
                    Contains("/adapter/method/gamma") && Contains("compressed"));
  CHECK(
      adapter_method("deep_lora").start({{"gamma", 0.5}, {"compressed", true}})->lr_scale("left") ==
      0.5);
}

TEST_CASE("outer factors without a rate are kept, and not among what is trained", "[laws]") {
  const auto is_outer = [](const std::string& name) {
    return name.ends_with(".left") || name.ends_with(".right");
  };
  const auto with_gamma = [&](double gamma) {
    const GoldenModel model("bert-tiny-wide",
                            options_of({{"rank", 4}, {"compressed", true}, {"gamma", gamma}}));
    int64_t kept = 0, trained = 0;
    for (const NamedTensor& t : model.trained().tensors) kept += is_outer(t.name);
    for (const auto& [name, p] : model.trained().parameters) trained += is_outer(name);
    return std::pair(kept, trained);
  };
  const auto [kept, trained] = with_gamma(0.01);
  CHECK(kept > 0);
  CHECK(trained == kept);
  CHECK(with_gamma(0) == std::pair<int64_t, int64_t>(kept, 0));
}

TEST_CASE("Deep LoRA's compressed form says what rank it can have", "[laws]") {
  using Catch::Matchers::Contains;
  const auto with_rank = [](const Json& rank) {
    return GoldenModel("bert-tiny-wide", options_of({{"rank", rank}, {"compressed", true}}));
  };
  CHECK_THROWS_WITH(with_rank(3), Contains("/adapter/method/rank: 3") && Contains("even rank"));
  CHECK_THROWS_WITH(with_rank(66), Contains("at most 64"));
  CHECK_THROWS_WITH(with_rank(nullptr), Contains("/adapter/method/rank"));
}
