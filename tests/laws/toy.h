// A model of one fused and two plain linear layers, and every adapter method with its variants:
// what the laws run over.
#pragma once

#include <ATen/CPUGeneratorImpl.h>

#include "tests/support/golden.h"
// The order matters: LibTorch before Catch2.
#include <string>
#include <utility>
#include <vector>

#include "lib/adapters/inject.h"
#include "lib/backend/cpu/features.h"

namespace mtlora::test {

using Tensors = std::map<std::string, Tensor>;

/// Two sublayers as a post-norm layer has them, and a last product; x [tokens, 6] -> [tokens, 5]:
/// a = qkv(x), h = LayerNorm(a + tanh(a)); c = dense(h), k = LayerNorm(c + tanh(c)); no_bias(k)
class Toy : public torch::nn::Module {
 public:
  static constexpr int64_t in = 6, part = 4, inner = 7, out = 5;

  /// Weights are the same for every Toy. `is_square`: query, key and value are square projections
  /// of an attention with two heads, of the first entries of x.
  explicit Toy(torch::ScalarType type = torch::kDouble, bool is_square = false)
      : qkv(LinearShape{.in = is_square ? part : in, .out = 3 * part, .heads = is_square ? 2 : 0},
            std::vector<std::string>{"query", "key", "value"}) {
    name_group(*this, "self").register_module("qkv", qkv);
    name_group(name_group(*this, "attention"), "output").register_module("LayerNorm", first_norm);
    register_module("dense", dense);
    name_group(*this, "output").register_module("LayerNorm", second_norm);
    register_module("no_bias", no_bias);
    uint64_t seed = 1;
    for (const NamedTensor& t : named_tensors(*this)) t.tensor.copy_(values(t.tensor, seed++));
    to(type);
  }
  Tensor forward(const Tensor& x, const Pass& pass = {}) {
    const Tensor a = qkv(of_qkv(x), pass);
    const Tensor c = dense(first_norm->after_residual(torch::tanh(a), a, {}).into, pass);
    return no_bias(second_norm->after_residual(torch::tanh(c), c, {}).into, pass);
  }

  /// What of x the first layer sees.
  Tensor of_qkv(const Tensor& x) const { return x.narrow(1, 0, qkv->shape().in); }

  /// Numbers of mean 0 and deviation 0.5.
  static Tensor values(const Tensor& like, uint64_t seed) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return at::randn(like.sizes(), generator) * 0.5;
  }

  Linear qkv;
  LayerNorm first_norm{3 * part, 1e-5, Sublayer::attention};
  Linear dense{LinearShape{3 * part, inner}};
  LayerNorm second_norm{inner, 1e-5, Sublayer::feed_forward};
  Linear no_bias{LinearShape{inner, out, /*has_bias=*/false}};
};

inline Tensor toy_input(torch::ScalarType type = torch::kDouble, int64_t tokens = 9) {
  return Toy::values(at::empty({tokens, Toy::in}), 77).to(type);
}

struct Case {
  const AdapterMethod* method;
  Json options;
};
inline std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.method->name << " " << c.options.dump();
}

/// Ranks and alphas that differ within the fused layer and among layers.
inline Json with_patterns(Json options) {
  options["rank_pattern"] = {{"value", 1}, {"no_bias", 4}};
  options["alpha_pattern"] = {{"query", 3.0}, {"dense", 7.0}};
  return options;
}

/// Options that a method is tested with beside its defaults.
inline std::vector<Json> variants_of(const std::string& method) {
  std::vector<Json> all{Json::object()};
  if (method == "lora") {
    for (const char* bias : {"lora_only", "all"}) all.push_back({{"bias", bias}, {"rank", 2}});
    all.push_back({{"rslora", true}, {"rank", 3}});
    all.push_back({{"init", "gaussian"}, {"rank", 1}});
    all.push_back(with_patterns({{"rslora", true}, {"rank", 3}, {"init", "gaussian"}}));
  }
  if (method == "mtlora") {
    for (const char* structure : {"shim", "icfm", "ctcm", "dtsm"})
      for (const char* init : {"repo", "identity"})
        all.push_back({{"structure", structure}, {"init", init}, {"rank", 3}, {"alpha", 5.0}});
    all.push_back(with_patterns({{"structure", "ctcm"}, {"rank", 3}}));
  }
  if (method == "houlsby" || method == "pfeiffer") {
    all.push_back({{"bottleneck", 3}});
    all.push_back({{"bottleneck", 5}, {"init", "repo"}});
  }
  if (method == "adalora")
    all.push_back({{"rank", 3}, {"target_rank", 1}, {"alpha", 5.0}, {"orthogonality", 0.5}});
  if (method == "rm_lora")
    all.push_back({{"rank", 3}, {"alpha", 5.0}, {"variant", "v1"}, {"masked", "frozen"}});
  if (method == "dora") {
    for (const bool through_norm : {false, true})
      all.push_back({{"norm_gradient", through_norm}, {"rank", 3}, {"alpha", 5.0}});
    all.push_back(with_patterns({{"norm_gradient", true}, {"rank", 3}}));
  }
  if (method == "lora_mini") all.push_back({{"rank", 2}, {"a", 5}, {"b", 3}});
  if (method == "hta")
    for (const char* form : {"lora", "adapter"})
      for (const char* householder : {"literal", "strict"})
        for (const int rank : {0, 2})
          all.push_back({{"form", form}, {"householder", householder}, {"rank", rank}});
  if (method == "xgblora") {
    all.push_back({{"boosters", 1}});
    all.push_back({{"boosters", 3}, {"rank", 2}, {"scale", 2.0}});
  }
  if (method == "mora") {
    all.push_back({{"type", "1"}, {"rank", 2}});
    all.push_back({{"type", "6"}, {"rank", 1}});
    all.push_back({{"restart_steps", 3}, {"restart_warmup", 3}, {"cycle", "1-2-3-4"}, {"rank", 1}});
  }
  if (method == "lorta") {
    all.push_back({{"official", true}, {"rank", 3}});
    all.push_back({{"rslora", true}, {"init_scale", 1.0}, {"rank", 2}, {"alpha", 5.0}});
  }
  if (method == "deep_lora") {
    all.push_back({{"compressed", true}, {"rank", 2}});
    all.push_back({{"rank", nullptr}});
  }
  return all;
}

/// Every method of the registry, with every variant.
inline std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const AdapterMethod& method : adapter_methods())
    for (const Json& options : variants_of(method.name)) cases.push_back({&method, options});
  return cases;
}

/// The case's Toy without adapters.
inline std::shared_ptr<Toy> toy_of(const Case& c, torch::ScalarType type = torch::kDouble) {
  return std::make_shared<Toy>(type, c.method->nature(c.options).only_attention);
}

/// One of them after another.
inline Case a_case() {
  return GENERATE(from_range(all_cases()));
}

inline AdapterOptions options_of(const Case& c) {
  AdapterOptions options;
  options.targets = {"query", "value"};
  if (!c.method->nature(c.options).only_attention)
    options.targets.insert(options.targets.end(), {"dense", "no_bias"});
  options.method = {c.method->name, c.options};
  return options;
}

/// A Toy with the case's adapters, as they start or at some other values.
struct Adapted {
  explicit Adapted(const Case& c, torch::ScalarType type = torch::kDouble, uint64_t seed = 5)
      : toy(toy_of(c, torch::kFloat)), trained(inject(*toy, options_of(c), seed, {})) {
    toy->to(type);
    meet_bases(*toy);
  }
  /// Moves every trained tensor to some values.
  Adapted& shake() {
    const torch::NoGradGuard no_grad;
    uint64_t seed = 100;
    for (const auto& [name, tensor] : trained.parameters)
      Tensor(tensor).add_(Toy::values(tensor, seed++).to(tensor.scalar_type()));
    return *this;
  }
  /// The linear layers.
  std::vector<Linear> layers() const { return {toy->qkv, toy->dense, toy->no_bias}; }

  std::shared_ptr<Toy> toy;
  Trained trained;
};

/// Restores the path that was in use.
class PlainPath {
 public:
  PlainPath() { backend::use_path(backend::Path::plain); }
  ~PlainPath() { backend::use_path(before_); }
  PlainPath(const PlainPath&) = delete;
  PlainPath& operator=(const PlainPath&) = delete;

 private:
  backend::Path before_ = backend::path();
};

}  // namespace mtlora::test
