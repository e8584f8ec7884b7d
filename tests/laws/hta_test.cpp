// What the equations of HTA and LoRA-Mini say, against the dense matrices that they never form.

#include "tests/laws/toy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

/// The trained and kept tensors of one layer's adapter, by their own names: those of the modules,
/// which have the type that the model was brought to.
Tensors tensors_below(const Adapted& adapted, const std::string& path) {
  Tensors found;
  for (const NamedTensor& t : adapted.trained.tensors)
    if (t.name.starts_with(path + "."))
      found[t.name.substr(path.size() + 1)] = t.parameter.detach();
  return found;
}

Tensor householder(const Tensor& v, bool is_strict) {
  const Tensor beta = is_strict ? 2 / v.dot(v) : torch::ones({}, v.options());
  return torch::eye(v.size(0), v.options()) - beta * v.outer(v);
}

/// H_R D H_L + W_up W_down
Tensor dense_map(const Tensors& t, bool is_strict) {
  const Tensor &left = t.at("v_L"), &right = t.at("v_R"), &d = t.at("d");
  const Tensor diagonal = torch::zeros({right.size(0), left.size(0)}, d.options());
  diagonal.diagonal().copy_(d);
  Tensor map = householder(right, is_strict).mm(diagonal).mm(householder(left, is_strict));
  if (t.count("W_up")) map = map + t.at("W_up").mm(t.at("W_down"));
  return map;
}

Case hta_case(const std::string& form, const std::string& which, int rank = 2) {
  return {&adapter_method("hta"), {{"form", form}, {"householder", which}, {"rank", rank}}};
}

}  // namespace

TEST_CASE("HTA is its equation", "[laws]") {
  const auto form = GENERATE(as<std::string>(), "lora", "adapter");
  const auto which = GENERATE(as<std::string>(), "literal", "strict");
  const auto rank = GENERATE(0, 1, 2);
  CAPTURE(form, which, rank);
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  Adapted adapted(hta_case(form, which, rank));
  adapted.shake();
  // 12 -> 7, 7 -> 5 without bias, and a part of 4 rows that sees 6 channels
  const std::vector<std::tuple<std::string, Linear, Part>> layers{
      {"dense", adapted.toy->dense, {"", 0, Toy::inner}},
      {"no_bias", adapted.toy->no_bias, {"", 0, Toy::out}},
      {"self.value", adapted.toy->qkv, {"", 2 * Toy::part, 3 * Toy::part}}};
  for (auto [path, layer, part] : layers) {
    CAPTURE(path);
    const Tensor map = dense_map(tensors_below(adapted, path), which == "strict");
    const Tensor x = Toy::values(at::empty({9, layer->shape().in}), 78).to(torch::kDouble);
    const Tensor base = at::linear(x, layer->weight, layer->bias);
    const Tensor own = base.narrow(1, part.begin, part.size());
    const Tensor want = form == "lora" ? own + x.mm(map.t()) : own.mm(map.t());
    CHECK(distance(layer(x, Pass{}).narrow(1, part.begin, part.size()), want) < 1e-12);
  }
}

TEST_CASE("HTA starts at two reflections, never at v = 0", "[laws]") {
  const auto form = GENERATE(as<std::string>(), "lora", "adapter");
  const auto which = GENERATE(as<std::string>(), "literal", "strict");
  CAPTURE(form, which);
  const Adapted adapted(hta_case(form, which));
  for (const char* path : {"self.query", "self.value", "dense", "no_bias"}) {
    const Tensors t = tensors_below(adapted, path);
    for (const char* name : {"v_L", "v_R"}) {
      const Tensor v = t.at(name), h = householder(v, which == "strict");
      CHECK(distance(v.dot(v), torch::full({}, 2.0, v.options())) < 1e-6);  // made in fp32
      CHECK(distance(h.mm(h), torch::eye(v.size(0), v.options())) < 1e-6);
    }
    CHECK(torch::equal(t.at("d"), torch::full_like(t.at("d"), form == "adapter" ? 1.0 : 0.0)));
    CHECK(t.at("W_up").abs().max().item<double>() == 0);
    if (form == "adapter") CHECK(torch::equal(t.at("v_L"), t.at("v_R")));
  }
}

TEST_CASE("from HTA's start the diagonal and W_up move first", "[laws]") {
  const PlainPath plain;
  const Adapted adapted(hta_case("lora", GENERATE(as<std::string>(), "literal", "strict")));
  const Tensor y = adapted.toy->forward(toy_input());
  (y * Toy::values(y, 31).to(y.scalar_type())).sum().backward();
  for (const auto& [name, tensor] : adapted.trained.parameters) {
    INFO(name);
    const bool moves = name.ends_with(".d") || name.ends_with(".W_up");
    CHECK((tensor.grad().abs().max().item<double>() > 0) == moves);
  }
}

TEST_CASE("HTA's adapter form is undone by the inverse map", "[laws]") {
  const auto which = GENERATE(as<std::string>(), "literal", "strict");
  const torch::NoGradGuard no_grad;
  Adapted adapted(hta_case("adapter", which));
  adapted.shake();
  const Linear layer = adapted.toy->dense;
  const Affine merged = layer->adapter()->merged({layer->weight, layer->bias});
  const Tensor inverse =
      at::linalg_inv(dense_map(tensors_below(adapted, "dense"), which == "strict"));
  CHECK(distance(inverse.mm(merged.weight), layer->weight) < 1e-11);
  CHECK(distance(inverse.mv(merged.bias), layer->bias) < 1e-11);
}

TEST_CASE("HTA trains as many numbers as the paper counts", "[laws]") {
  const AdapterMethod& hta = adapter_method("hta");
  for (const int64_t rank : {0, 1, 2, 4}) {
    const Json options{{"rank", rank}};
    CHECK(hta.parameters(options, 768, 768) == 3 * 768 + 2 * 768 * rank);
  }
  // ViT-B/16, four square modules of twelve layers, D' = 0, 2, 4: .15, .30, .44 million; D' = 1:
  // .184
  const auto millions = [&](int64_t rank) {
    return 1e-6 * 48 * static_cast<double>(hta.parameters({{"rank", rank}}, 768, 768));
  };
  CHECK(millions(1) == Approx(0.184).margin(0.0005));
  CHECK(millions(2) == Approx(0.30 - 0.04).margin(0.005));
}

TEST_CASE("LoRA-Mini between two identities is LoRA", "[laws]") {
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  // a = in and b = out of the layer `dense`
  const Case mini_case{&adapter_method("lora_mini"),
                       {{"rank", 3}, {"alpha", 5.0}, {"a", 3 * Toy::part}, {"b", Toy::inner}}};
  Adapted mini(mini_case), lora({&adapter_method("lora"), {{"rank", 3}, {"alpha", 5.0}}});
  lora.shake();
  Tensors inner = tensors_below(mini, "dense"), want = tensors_below(lora, "dense");
  for (const char* name : {"A_aux", "B_aux"})
    inner.at(name).copy_(torch::eye(inner.at(name).size(0)));
  inner.at("A_train").copy_(want.at("lora_A"));
  inner.at("B_train").copy_(want.at("lora_B"));
  const Tensor x = Toy::values(at::empty({9, 3 * Toy::part}), 78).to(torch::kDouble);
  CHECK(distance(mini.toy->dense(x, Pass{}), lora.toy->dense(x, Pass{})) < 1e-14);
}

TEST_CASE("LoRA-Mini's outer matrices stay and are kept", "[laws]") {
  const Adapted adapted({&adapter_method("lora_mini"), {{"rank", 2}, {"a", 5}, {"b", 3}}});
  size_t kept = 0;
  for (const NamedTensor& t : adapted.trained.tensors) {
    if (!t.name.ends_with("_aux")) continue;
    ++kept;
    CHECK(!t.parameter.requires_grad());
    CHECK(t.tensor.abs().max().item<double>() > 0);
  }
  CHECK(kept == 8);
  CHECK(adapted.trained.count() == 4 * 2 * (5 + 3));
}
