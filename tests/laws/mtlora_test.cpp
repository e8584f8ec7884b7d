// What the equations of MTLoRA say about its four structures: LoRA is the case T = I; a zero T
// reached through zero factors stays there; both halves of DTSM feel the same gradient.

#include "lib/optim/registry.h"
#include "tests/laws/toy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Case mtlora_case(const std::string& structure, const char* init = "repo") {
  return {&adapter_method("mtlora"),
          {{"structure", structure}, {"init", init}, {"rank", 3}, {"alpha", 5.0}}};
}

/// The model's gradients by the parameters' names, of some number made of all outputs.
Tensors gradients(const Adapted& adapted, const Prepared* prepared = nullptr) {
  Pass pass;
  pass.prepared = prepared;
  const Tensor y = adapted.toy->forward(toy_input(adapted.toy->dense->weight.scalar_type()), pass);
  (y * Toy::values(y, 31).to(y.scalar_type())).sum().backward();
  Tensors all;
  for (const auto& [name, tensor] : adapted.trained.parameters) {
    REQUIRE(tensor.grad().defined());
    all[name] = tensor.grad();
  }
  return all;
}

bool is(const std::string& name, const char* matrix) {
  return name.ends_with(std::string(".") + matrix);
}

void set_zero(const Adapted& adapted, const char* matrix) {
  const torch::NoGradGuard no_grad;
  size_t count = 0;
  for (const auto& [name, tensor] : adapted.trained.parameters)
    if (is(name, matrix)) Tensor(tensor).zero_(), ++count;
  REQUIRE(count == 4);  // query, value, dense, no_bias
}

double largest(const Tensors& all, const char* matrix) {
  double found = 0;
  for (const auto& [name, value] : all)
    if (is(name, matrix)) found = std::max(found, value.abs().max().item<double>());
  return found;
}

}  // namespace

TEST_CASE("MTLoRA with T = I is LoRA: outputs and gradients", "[laws]") {
  const auto structure = GENERATE(as<std::string>(), "shim", "icfm", "ctcm", "dtsm");
  CAPTURE(structure);
  const PlainPath plain;
  const Adapted ours(mtlora_case(structure, "identity"));
  Adapted lora({&adapter_method("lora"), {{"rank", 3}, {"alpha", 5.0}}});
  lora.shake();
  std::map<std::string, Tensor> of_lora;
  for (const auto& [name, tensor] : lora.trained.parameters) of_lora[name] = tensor;
  const auto lora_name = [](std::string name) {
    return name.replace(name.rfind('.') + 1, 0, "lora_");
  };
  size_t copied = 0;
  for (const auto& [name, tensor] : ours.trained.parameters) {
    if (!is(name, "A") && !is(name, "B")) continue;
    const torch::NoGradGuard no_grad;
    Tensor(tensor).copy_(of_lora.at(lora_name(name)));
    ++copied;
  }
  REQUIRE(copied == 8);
  CHECK(torch::equal(ours.toy->forward(toy_input()), lora.toy->forward(toy_input())));
  const Tensors got = gradients(ours), want = gradients(lora);
  for (const auto& [name, gradient] : got) {
    INFO(name);
    if (is(name, "A") || is(name, "B")) CHECK(torch::equal(gradient, want.at(lora_name(name))));
  }
}

TEST_CASE("zero C and D stop ICFM and CTCM, not SHIM and DTSM", "[laws]") {
  const auto structure = GENERATE(as<std::string>(), "shim", "icfm", "ctcm", "dtsm");
  CAPTURE(structure);
  const PlainPath plain;
  Adapted adapted(mtlora_case(structure));
  adapted.shake();
  const bool has_d = structure == "ctcm" || structure == "dtsm";
  set_zero(adapted, "C");
  if (has_d) set_zero(adapted, "D");
  const Tensors all = gradients(adapted);
  CHECK(largest(all, "A") == 0);
  CHECK(largest(all, "B") == 0);
  if (structure == "icfm" || structure == "ctcm") {
    CHECK(largest(all, "C") == 0);
    CHECK(largest(all, "D") == 0);
  } else {
    CHECK(largest(all, "C") > 1e-3);
  }
}

TEST_CASE("both halves of DTSM get the same gradient", "[laws]") {
  Adapted adapted(mtlora_case("dtsm"), torch::kFloat);
  adapted.shake();
  const Tensors all = gradients(adapted);
  size_t compared = 0;
  for (const auto& [name, gradient] : all) {
    if (!is(name, "C")) continue;
    std::string d = name;
    d.back() = 'D';
    CHECK(gradient.abs().max().item<double>() > 0);
    CHECK(torch::equal(gradient, all.at(d)));
    ++compared;
  }
  CHECK(compared == 4);
}

TEST_CASE("the first step moves B alone", "[laws]") {
  const auto structure = GENERATE(as<std::string>(), "shim", "icfm", "ctcm", "dtsm");
  const auto init = GENERATE(as<std::string>(), "repo", "identity");
  CAPTURE(structure, init);
  const Adapted adapted(mtlora_case(structure, init.c_str()), torch::kFloat);
  std::vector<Parameter> parameters;
  std::vector<Tensor> before, slopes;
  const Tensors all = gradients(adapted);
  for (const auto& [name, tensor] : adapted.trained.parameters) {
    parameters.push_back({name, tensor, decays(name)});
    before.push_back(tensor.detach().clone());
    slopes.push_back(all.at(name));
  }
  make_optimizer({"adamw", Json{{"lr", 0.01}, {"weight_decay", 0.0}}}, parameters)
      ->step(slopes, 1.0);
  for (size_t i = 0; i < parameters.size(); ++i) {
    INFO(parameters[i].name);
    CHECK(torch::equal(before[i], parameters[i].tensor) == !is(parameters[i].name, "B"));
  }
}

TEST_CASE("the products with T are prepared for all layers at once", "[laws]") {
  const auto structure = GENERATE(as<std::string>(), "shim", "icfm", "ctcm", "dtsm");
  const auto are = GENERATE(PartsAre::layers, PartsAre::rows);  // rows share a core
  const bool has_patterns = GENERATE(false, true);
  CAPTURE(structure, are == PartsAre::rows, has_patterns);
  const PlainPath plain;
  const torch::NoGradGuard no_grad;
  Case c = mtlora_case(structure);
  if (has_patterns) c.options = with_patterns(c.options);
  const auto set = c.method->start(c.options);
  const std::vector<Part> parts = parts_of({{"query", 4}, {"key", 4}, {"value", 4}});
  const std::vector<Part> adapted{parts[0], parts[2]};
  std::vector<std::shared_ptr<Adapter>> layers;
  for (uint64_t key : {1, 2, 3}) {
    layers.push_back(set->make({"layer", LinearShape{6, 12}, adapted, are, key}));
    layers.back()->to(torch::kDouble);
    for (Tensor& p : layers.back()->parameters()) p.copy_(Toy::values(p, ++key));
  }
  const Prepared prepared = set->prepare();
  const LinearMap base{Toy::values(at::empty({12, 6}), 8).to(torch::kDouble), {}};
  const Tensor x = toy_input();
  for (const auto& layer : layers) {
    size_t found = 0;
    for (const auto& named : layer->named_parameters()) found += prepared.of(*named).defined();
    CHECK(found == (are == PartsAre::rows ? 1 : 2));  // T A of the core, or B T of each part
    for (const Part& range : {Part{"", 0, 12}, Part{"", 8, 12}}) {
      const LinearMap rows{base.weight.tensor().narrow(0, range.begin, range.size()), {}};
      Pass pass;
      const Tensor want = layer->forward(x, rows, range, pass);
      pass.prepared = &prepared;
      CHECK(distance(layer->forward(x, rows, range, pass), want) < 1e-12);
      CHECK(distance(want, at::linear(x, rows.weight.tensor())) > 1e-3);
    }
  }
}

TEST_CASE("gradients go through what was prepared", "[laws]") {
  const auto structure = GENERATE(as<std::string>(), "shim", "icfm", "ctcm", "dtsm");
  CAPTURE(structure);
  const PlainPath plain;
  const bool has_patterns = GENERATE(false, true);
  CAPTURE(has_patterns);
  const auto of = [&](bool is_prepared) {
    Case c = mtlora_case(structure);
    if (has_patterns) c.options = with_patterns(c.options);
    Adapted adapted(c);
    adapted.shake();
    const Prepared prepared = adapted.trained.set->prepare();
    return gradients(adapted, is_prepared ? &prepared : nullptr);
  };
  const Tensors got = of(true), want = of(false);
  CHECK(want.size() == got.size());
  for (const auto& [name, gradient] : want) {
    INFO(name);
    CHECK(distance(got.at(name), gradient) < 1e-12);
  }
}

TEST_CASE("parts that share a core each have their own rank, alpha and rows of T A", "[laws]") {
  const auto structure = GENERATE(as<std::string>(), "shim", "icfm", "ctcm", "dtsm");
  CAPTURE(structure);
  const torch::NoGradGuard no_grad;
  const Case c{&adapter_method("mtlora"), with_patterns(mtlora_case(structure).options)};
  const std::vector<Part> parts = parts_of({{"query", 4}, {"key", 4}, {"value", 4}});
  const auto layer = c.method->start(c.options)->make(
      {"attn.c_attn.query", LinearShape{6, 12}, parts, PartsAre::rows, 1});
  layer->to(torch::kDouble);
  Tensors t;
  uint64_t seed = 1;
  for (const auto& named : layer->named_parameters()) {
    named->copy_(Toy::values(*named, ++seed));
    t[named.key()] = *named;
  }
  CHECK(t.at("A").size(0) == 3 + 3 + 1);
  const Tensor square = structure == "shim"   ? t.at("C")
                        : structure == "icfm" ? t.at("C").mm(t.at("C").t())
                        : structure == "ctcm" ? t.at("C").mm(t.at("D"))
                                              : t.at("C") + t.at("D");
  const Tensor rows = square.mm(t.at("A"));
  const Tensor want = at::cat({3.0 / 3 * t.at("query.B").mm(rows.narrow(0, 0, 3)),
                               5.0 / 3 * t.at("key.B").mm(rows.narrow(0, 3, 3)),
                               5.0 / 1 * t.at("value.B").mm(rows.narrow(0, 6, 1))});
  const Affine nothing{at::zeros({12, 6}, torch::kDouble), {}};
  CHECK(distance(layer->merged(nothing).weight, want) < 1e-12);
}
