// What the equations of DoRA say, against the dense matrices: the forward with and without dropout,
// the gradients with the norm held constant, the way back from the merged weight; and LoRA+'s
// rates.

#include "lib/train/parameters.h"
#include "tests/laws/toy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Case dora_case(Json more = Json::object()) {
  Json options{{"rank", 3}, {"alpha", 5.0}};
  options.update(more);
  return {&adapter_method("dora"), options};
}

constexpr double scale = 5.0 / 3;

/// The tensors of the second plain layer and its base, as leaves of a graph of their own.
struct Dense {
  Tensor a, b, m, weight, bias;

  explicit Dense(const Adapted& adapted)
      : weight(adapted.toy->dense->weight.detach()), bias(adapted.toy->dense->bias.detach()) {
    for (const auto& [name, tensor] : adapted.trained.parameters) {
      const auto leaf = [&] { return tensor.detach().clone().requires_grad_(); };
      if (name.ends_with("dense.adapter.lora_A")) a = leaf();
      if (name.ends_with("dense.adapter.lora_B")) b = leaf();
      if (name.ends_with("dense.adapter.lora_magnitude_vector")) m = leaf();
    }
    REQUIRE((a.defined() && b.defined() && m.defined()));
  }
  Tensor v() const { return weight + scale * b.mm(a); }
  /// W x + b + (m/n - 1) W x̃ + (m/n) s B A x̃, n constant.
  Tensor forward(const Tensor& x, const Tensor& dropped) const {
    const Tensor ratio = m / v().detach().norm(2, 1);
    return at::linear(x, weight, bias) + (ratio - 1) * at::linear(dropped, weight) +
           ratio * scale * at::linear(at::linear(dropped, a), b);
  }
};

Tensor layer_input() {
  return Toy::values(at::empty({9, 3 * Toy::part}), 78).to(torch::kDouble);
}

}  // namespace

TEST_CASE("DoRA is its equation, and its gradients hold the norm constant", "[laws]") {
  const PlainPath plain;
  Adapted adapted(dora_case());
  adapted.shake();
  const Dense dense(adapted);
  const Tensor x = layer_input();
  const Tensor got = adapted.toy->dense(x, Pass{}), want = dense.forward(x, x);
  CHECK(distance(got, want) < 1e-12);
  const Tensor direction = Toy::values(got, 31).to(torch::kDouble);
  got.backward(direction);
  want.backward(direction);
  size_t compared = 0;
  for (const auto& [name, tensor] : adapted.trained.parameters) {
    if (name.find("dense.adapter.") == std::string::npos) continue;
    const Tensor& leaf = name.ends_with("A") ? dense.a : name.ends_with("B") ? dense.b : dense.m;
    INFO(name);
    CHECK(leaf.grad().abs().max().item<double>() > 1e-3);
    CHECK(distance(tensor.grad(), leaf.grad()) < 1e-12);
    ++compared;
  }
  CHECK(compared == 3);
}

TEST_CASE("with dropout both of DoRA's terms see the dropped input", "[laws]") {
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  Adapted adapted(dora_case({{"dropout", 0.5}}));
  adapted.shake();
  const Tensor x = layer_input();
  const Pass pass{true, 3, at::arange(x.size(0))};
  // the mask, from the site's own function
  uint64_t site = 0;
  for (const auto& module : adapted.toy->named_modules())
    if (module.key().ends_with("dense.adapter.dropout")) site = name_key(module.key());
  REQUIRE(site != 0);
  const Tensor dropped = x * backend::dropout_mask(pass.dropout(0.5, site), x.size(1));
  CHECK(distance(dropped, x) > 0.1);
  CHECK(distance(adapted.toy->dense(x, pass), Dense(adapted).forward(x, dropped)) < 1e-12);
}

TEST_CASE("DoRA's merged weight leads back to the base by n / m", "[laws]") {
  const torch::NoGradGuard no_grad;
  Adapted adapted(dora_case());
  adapted.shake();
  const Dense dense(adapted);
  const Linear layer = adapted.toy->dense;
  const Affine merged = layer->adapter()->merged({layer->weight, layer->bias});
  CHECK(distance(merged.weight.norm(2, 1), dense.m.abs()) < 1e-12);
  const Tensor back = merged.weight * (dense.v().norm(2, 1) / dense.m).unsqueeze(1);
  CHECK(distance(back - scale * dense.b.mm(dense.a), layer->weight) < 1e-12);
}

TEST_CASE("a bf16 weight's norms are those of its fp32 values", "[laws]") {
  const PlainPath plain;  // which takes an fp32 input with a bf16 weight
  const torch::NoGradGuard no_grad;
  Adapted adapted(dora_case(), torch::kFloat);
  Tensor& weight = adapted.toy->dense->weight;
  weight.set_data(weight.to(torch::kBFloat16));
  meet_bases(*adapted.toy);
  const auto wide = [](const Tensor& t) { return t.to(torch::kDouble); };
  CHECK(distance(Dense(adapted).m, wide(weight).norm(2, 1)) < 1e-6);
  adapted.shake();
  const Dense dense(adapted);
  const Tensor v = wide(weight) + scale * wide(dense.b).mm(wide(dense.a));
  const Tensor want = v * (wide(dense.m) / v.norm(2, 1)).unsqueeze(1);
  // rows of the identity show W' itself
  const Tensor shown = adapted.toy->dense(torch::eye(3 * Toy::part), Pass{}) - dense.bias;
  CHECK(distance(shown.t(), want) < 2e-6 * want.abs().max().item<double>());
}

TEST_CASE("a row of zeros gives no NaN", "[laws]") {
  const torch::NoGradGuard no_grad;
  Adapted adapted(dora_case(), torch::kFloat);
  adapted.toy->dense->weight[2].zero_();
  meet_bases(*adapted.toy);
  const Tensor y = adapted.toy->dense(layer_input().to(torch::kFloat), Pass{});
  CHECK(at::isfinite(y).all().item<bool>());
  CHECK(torch::equal(y.select(1, 2), adapted.toy->dense->bias[2].expand({9})));
}

TEST_CASE("LoRA+ gives B a learning rate of its own, and B alone", "[laws]") {
  const auto name = GENERATE(as<std::string>(), "lora", "dora");
  CAPTURE(name);
  for (const double ratio : {1.0, 16.0}) {
    const Adapted adapted({&adapter_method(name), {{"lr_ratio", ratio}}});
    size_t of_b = 0;
    for (const Parameter& p : parameters_of(adapted.trained)) {
      const bool is_b = p.name.ends_with(".lora_B");
      CHECK(p.lr_scale == (is_b ? ratio : 1.0));
      of_b += is_b;
    }
    CHECK(of_b == 4);
  }
}
