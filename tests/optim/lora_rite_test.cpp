// LoRA-RITE against its equations (scripts/golden/optimizers.py), and what it is made for: the
// product of a pair moves the same way however it is factored.

#include <cmath>

#include "lib/core/error.h"
#include "tests/optim/spy.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

using Tensors = std::map<std::string, Tensor>;

Parameter parameter(std::string name, const Tensor& value,
                    std::optional<size_t> partner = std::nullopt) {
  return {std::move(name), value.clone(), true, 1, partner};
}

/// The golden's two pairs at their start.
std::vector<Parameter> golden_pairs(const Tensors& want, torch::ScalarType type) {
  std::vector<Parameter> all;
  for (const char* name : {"one", "two"}) {
    const std::string at = name;
    all.push_back(parameter(at + ".A", want.at(at + "/A.0").to(type), all.size() + 1));
    all.push_back(parameter(at + ".B", want.at(at + "/B.0").to(type)));
  }
  return all;
}

/// The gradients of 1/2 |B A - T|² + <noise, B A>.
std::vector<Tensor> golden_gradients(const Tensors& want, const std::vector<Parameter>& pairs,
                                     int64_t step) {
  std::vector<Tensor> gradients;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    const std::string name = pairs[i].name.substr(0, 3);
    const Tensor a = pairs[i].tensor, b = pairs[i + 1].tensor;
    const auto type = a.scalar_type();
    const Tensor g =
        b.mm(a) - want.at(name + "/T").to(type) + want.at(name + "/noise")[step].to(type);
    gradients.push_back(b.t().mm(g));
    gradients.push_back(g.mm(a.t()));
  }
  return gradients;
}

Json golden_options() {
  const std::string file = golden_path("manifest.json").string();
  return read_json(file).at("scripts/golden/optimizers.py").at("cases");
}

/// A pair of one product, with gradients that depend on the product alone.
struct Factored {
  Factored(const Tensor& a, const Tensor& b, const Json& options)
      : pair{parameter("A", a, 1), parameter("B", b)},
        optimizer(make_optimizer({"lora_rite", options}, pair)) {}
  Tensor product() const { return pair[1].tensor.mm(pair[0].tensor); }
  void step(int64_t t) {
    // small enough that no side is skipped
    const Tensor g = 0.1 * (at::tanh(product()) + numbers(product().sizes(), 50 + t));
    optimizer->step({pair[1].tensor.t().mm(g), g.mm(pair[0].tensor.t())}, 1.0);
  }
  std::vector<Parameter> pair;
  std::unique_ptr<Optimizer> optimizer;
};

}  // namespace

TEST_CASE("LoRA-RITE is its equations", "[optim]") {
  const Tensors want = golden("lora_rite.safetensors");
  const Json cases = golden_options();
  REQUIRE(cases.size() == 8);
  for (const auto& [name, options] : cases.items()) {
    CAPTURE(name);
    for (const auto type : {torch::kDouble, torch::kFloat}) {
      const std::vector<Parameter> pairs = golden_pairs(want, type);
      const auto optimizer = make_optimizer({"lora_rite", options}, pairs);
      for (int64_t t = 0; t < 10; ++t) {
        optimizer->step(golden_gradients(want, pairs, t), 1.0);
        if (t + 1 != 5 && t + 1 != 10) continue;
        for (const Parameter& p : pairs) {
          const std::string key =
              fmt::format("{}/{}/{}.{}", name, p.name.substr(0, 3), p.name.substr(4), t + 1);
          // some hundred roundings, and conditions of 3
          check_close(key, p.tensor, want.at(key), type == torch::kDouble ? 1e-13 : 1e-5);
        }
      }
    }
  }
}

TEST_CASE("the product moves the same way however it is factored", "[optim]") {
  const Json options = GENERATE(
      Json{{"update_skipping", 0}, {"clip", 0}}, Json::object(), Json{{"escaped_mass", true}},
      Json{{"divide_by_rows", false}, {"beta1", 0.5}}, Json{{"balance", true}});
  Json with_lr = options;
  with_lr["lr"] = 0.05;
  CAPTURE(with_lr.dump());
  const Tensor a = numbers({3, 10}, 1), b = numbers({8, 3}, 2);
  const Tensor q = numbers({3, 3}, 3) + 2 * at::eye(3, at::kDouble);  // any invertible matrix
  Factored one(a, b, with_lr), other(q.t().mm(a), b.mm(at::linalg_inv(q.t())), with_lr);
  const Tensor before = one.product();
  CHECK((other.product() - before).abs().max().item<double>() < 1e-13);
  double worst = 0;
  for (int64_t t = 0; t < 50; ++t) {
    one.step(t);
    other.step(t);
    worst = std::max(worst, (one.product() - other.product()).abs().max().item<double>());
  }
  const double moved = (one.product() - before).norm().item<double>();
  WARN("after 50 steps the product has moved by " << moved << ", the two differ by " << worst);
  CHECK(moved > 1);
  CHECK(worst < 1e-12);
  // the factors themselves are far apart
  CHECK((one.pair[0].tensor - other.pair[0].tensor).norm().item<double>() > 0.1);
}

TEST_CASE("LoRA-RITE's first step leaves A as it is where B is zero", "[optim]") {
  const auto type = GENERATE(torch::kDouble, torch::kFloat);
  const Tensor a = numbers({3, 10}, 1).to(type), b = at::zeros({8, 3}, type);
  const std::vector<Parameter> pair = {parameter("A", a, 1), parameter("B", b)};
  const auto optimizer = make_optimizer({"lora_rite", Json::object()}, pair);
  const auto step = [&](int64_t t) {
    const Tensor g = 0.01 * numbers({8, 10}, 9 + t).to(type);  // no side is skipped
    optimizer->step({pair[1].tensor.t().mm(g), g.mm(pair[0].tensor.t())}, 1.0);
  };
  step(0);
  CHECK(torch::equal(pair[0].tensor, a));
  CHECK(!torch::equal(pair[1].tensor, b));
  step(1);
  CHECK(!torch::equal(pair[0].tensor, a));
}

TEST_CASE("LoRA-RITE moves what has no partner as AdamW does", "[optim]") {
  const auto parameters = [] {
    return std::vector<Parameter>{
        parameter("C", numbers({4, 4}, 5)), parameter("A", numbers({3, 10}, 1), 2),
        parameter("B", numbers({8, 3}, 2)), parameter("head", numbers({6}, 3))};
  };
  const std::vector<Parameter> all = parameters();
  std::vector<Parameter> alone = {parameters()[0], parameters()[3]};
  for (const std::vector<Parameter>* each :
       {&all, static_cast<const std::vector<Parameter>*>(&alone)})
    for (const Parameter& p : *each) p.tensor.set_data(p.tensor.to(at::kFloat));
  const auto rite =
      make_optimizer({"lora_rite", {{"lr", 0.01}, {"beta1", 0.8}, {"weight_decay", 0.1}}}, all);
  const auto adamw =
      make_optimizer({"adamw", {{"lr", 0.01}, {"beta1", 0.8}, {"weight_decay", 0.1}}}, alone);
  CHECK(rite->lr() == 0.01);
  for (int64_t t = 0; t < 3; ++t) {
    std::vector<Tensor> gradients;
    for (const Parameter& p : all)
      gradients.push_back(numbers(p.tensor.sizes(), 30 + t).to(at::kFloat));
    rite->step(gradients, 0.5);
    adamw->step({gradients[0], gradients[3]}, 0.5);
  }
  CHECK(torch::equal(all[0].tensor, alone[0].tensor));
  CHECK(torch::equal(all[3].tensor, alone[1].tensor));
}

TEST_CASE("LoRA-RITE says what it cannot move", "[optim]") {
  const auto start = [](const std::vector<Parameter>& parameters) {
    make_optimizer({"lora_rite", Json::object()}, parameters);
  };
  CHECK_THROWS_WITH(
      start({parameter("bias", numbers({4}, 1))}),
      Catch::Matchers::Contains("trains no such pair") && Catch::Matchers::Contains("adamw"));
  CHECK_THROWS_WITH(
      start({parameter("x.A", numbers({5, 4}, 1), 1), parameter("x.B", numbers({8, 5}, 1))}),
      Catch::Matchers::Contains("x.A is 5 x 4"));
  CHECK_THROWS_WITH(
      start({parameter("x.A", numbers({5, 6}, 1), 1), parameter("x.B", numbers({4, 5}, 1))}),
      Catch::Matchers::Contains("x.B is 4 x 5"));
  CHECK_THROWS_WITH(
      start({parameter("x.A", numbers({2, 6}, 1), 2), parameter("y.A", numbers({2, 6}, 2), 2),
             parameter("x.B", numbers({4, 2}, 1))}),
      Catch::Matchers::Contains("y.A and x.B belong to more than one product"));
}
