// What every adapter method of the registry keeps in training: which tensors get which gradients,
// how many there are, and that a checkpoint holds them.

#include <cmath>
#include <set>

#include "lib/train/checkpoint.h"
#include "tests/laws/toy.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

/// A number that depends on every output.
Tensor objective(Adapted& adapted, const Tensor& x) {
  const Tensor y = adapted.toy->forward(x);
  return (y * Toy::values(y, 31).to(y.scalar_type())).sum();
}

/// d objective / d tensor[i] by central differences of the fourth order: the error is the step's
/// fourth power.
double numeric_gradient(Adapted& adapted, const Tensor& x, const Tensor& tensor, int64_t i) {
  const torch::NoGradGuard no_grad;
  constexpr double step = 1e-4;
  double* value = tensor.data_ptr<double>() + i;
  const double before = *value;
  const auto at = [&](double moved) {
    *value = moved;
    return objective(adapted, x).item<double>();
  };
  const auto difference = [&](double by) { return at(before + by) - at(before - by); };
  const double slope = (8 * difference(step) - difference(2 * step)) / (12 * step);
  *value = before;
  return slope;
}

std::set<std::string> own_names() {
  const Toy toy;
  std::set<std::string> names;
  for (const NamedTensor& t : named_tensors(toy)) names.insert(t.name);
  return names;
}

/// The case's options, with the rank that a layer or part of this name has.
Json options_for(const Case& c, const std::string& name) {
  Json options = c.options;
  const Json ranks = options.value("rank_pattern", Json::object());
  if (ranks.contains(name)) options["rank"] = ranks[name];
  return options;
}

void save(const std::filesystem::path& folder, const Adapted& adapted) {
  CheckpointContent content;
  content.trained = checkpoint_tensors(adapted.trained.tensors);
  save_checkpoint(folder, content);
}

}  // namespace

TEST_CASE("the trained tensors, and only they, get gradients", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const PlainPath plain;
  Adapted adapted(c);
  adapted.shake();
  objective(adapted, toy_input()).backward();
  std::set<std::string> trained;
  for (const auto& [name, tensor] : adapted.trained.parameters) trained.insert(name);
  CHECK(!trained.empty());
  for (const auto& p : adapted.toy->named_parameters()) {
    INFO(p.key());
    REQUIRE(p.value().requires_grad() == (trained.count(p.key()) == 1));
    REQUIRE(p.value().grad().defined() == p.value().requires_grad());
    if (p.value().grad().defined()) CHECK(p.value().grad().abs().max().item<double>() > 0);
  }
}

TEST_CASE("gradients are the slopes of the forward", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const PlainPath plain;
  Adapted adapted(c);
  adapted.shake();
  const Tensor x = toy_input();
  objective(adapted, x).backward();
  for (const auto& [name, tensor] : adapted.trained.parameters) {
    INFO(name);
    double worst = 0;
    if (!c.method->nature(c.options).has_exact_gradients) {  // dora_test knows what they are
      CHECK(tensor.grad().defined());
      continue;
    }
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      const double want = numeric_gradient(adapted, x, tensor, i);
      const double got = tensor.grad().flatten()[i].item<double>();
      worst = std::max(worst, std::abs(got - want) / (1 + std::abs(want)));
    }
    CHECK(worst < 1e-8);
  }
}

TEST_CASE("saving and loading is the identity", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const TempDir folder;
  Adapted saved(c, torch::kFloat);
  saved.shake();
  save(folder / "one", saved);
  Adapted loaded(c, torch::kFloat, /*seed=*/6);
  restore_tensors(folder / "one" / "adapter.safetensors",
                  checkpoint_tensors(loaded.trained.tensors));
  for (size_t i = 0; i < saved.trained.tensors.size(); ++i)
    CHECK(torch::equal(saved.trained.tensors[i].tensor, loaded.trained.tensors[i].tensor));
  const Tensor x = toy_input(torch::kFloat);
  CHECK(torch::equal(saved.toy->forward(x), loaded.toy->forward(x)));
}

TEST_CASE("a checkpoint of other tensors is refused by name", "[laws]") {
  const TempDir folder;
  const auto options = [](const char* structure) {
    return Case{&adapter_method("mtlora"), {{"structure", structure}, {"rank", 2}}};
  };
  const Adapted shim(options("shim")), ctcm(options("ctcm"));
  save(folder / "one", shim);
  const auto file = folder / "one" / "adapter.safetensors";
  CHECK_THROWS_WITH(restore_tensors(file, checkpoint_tensors(ctcm.trained.tensors)),
                    Contains("self.query.D: missing") && Contains("no_bias.D: missing"));
  save(folder / "one", ctcm);
  CHECK_THROWS_WITH(restore_tensors(file, checkpoint_tensors(shim.trained.tensors)),
                    Contains("self.value.D: not expected"));
}

TEST_CASE("as many numbers are trained as the method says", "[laws]") {
  const Case c = a_case();
  CAPTURE(c);
  const Adapted adapted(c);
  const std::set<std::string> own = own_names();
  const auto set = c.method->start(c.options);
  const bool fills_slots = set->fills_slots(), fills_blocks = set->fills_blocks();
  const bool trains_own = !fills_slots && !fills_blocks;
  int64_t count = 0;
  for (const NamedTensor& t : adapted.trained.tensors)
    if (t.parameter.requires_grad() && (trains_own || !own.contains(t.name)))
      count += t.tensor.numel();
  CHECK(adapted.trained.count() >= count);
  int64_t formula = 0;  // the norms' scales and shifts, where the model's own tensors are trained
  if (trains_own) formula = (c.method->name == "full" ? 2 : 1) * (3 * Toy::part + Toy::inner);
  if (const auto shared = adapted.trained.set->shared())
    for (const Tensor& t : shared->parameters()) formula += t.numel();
  for (const BlockSlot& slot : block_slots(*adapted.toy))
    if (const int64_t width = slot.norm->weight.size(0); slot.norm->has_block())
      formula += c.method->parameters(c.options, width, width);
  for (const Slot& slot : linear_slots(*adapted.toy)) {
    const LinearImpl& layer = *slot.linear;
    const Part& part = layer.parts()[slot.part];
    if (fills_blocks || (fills_slots && (part.name == "key" || !layer.adapter()))) continue;
    const std::string name = slot.path.substr(slot.path.rfind('.') + 1);
    formula += c.method->parameters(options_for(c, name), layer.shape().in, part.size());
    // The formulas are for layers that have a bias.
    const bool counts_bias = trains_own || c.options.value("bias", "none") == "lora_only";
    if (!layer.bias.defined() && counts_bias) formula -= part.size();
  }
  CHECK(count == formula);
}
