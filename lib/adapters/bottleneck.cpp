#include "lib/adapters/bottleneck.h"

#include <cmath>

#include "lib/adapters/low_rank.h"
#include "lib/core/random.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

// torch.nn.Linear's own start: weight and bias uniform within ±1/√in.
Tensor linear_bias(int64_t out, int64_t in, uint64_t key) {
  const double scale = std::sqrt(static_cast<double>(out) / static_cast<double>(in));
  return kaiming_uniform(1, out, key).flatten() * scale;
}

}  // namespace

void BottleneckOptions::fields(Fields& f) {
  f("bottleneck", bottleneck,
    "Width between the two products. The comparison in AdaLoRA's paper takes 8 to 64; with 64, "
    "Pfeiffer's adapters are about as many numbers as LoRA of rank 8 on every layer.",
    at_least(1));
  f("init", init,
    "Start: with zero the second product is 0 and the model starts as the base; repo draws both "
    "as torch.nn.Linear does, like MTLoRA's repository, and the model does not start as the base.",
    one_of({"zero", "repo"}));
}

BottleneckBlock::BottleneckBlock(const BottleneckOptions& options, const BlockPlace& place)
    : down_(add("down", options.bottleneck, place.width)),
      up_(add("up", place.width, options.bottleneck)) {
  const torch::NoGradGuard no_grad;
  const auto key = [&](const char* name) { return combine(place.key, name_key(name)); };
  down_.weight.copy_(kaiming_uniform(options.bottleneck, place.width, key("down.weight")));
  if (options.init == "zero") return;
  down_.bias.copy_(linear_bias(options.bottleneck, place.width, key("down.bias")));
  up_.weight.copy_(kaiming_uniform(place.width, options.bottleneck, key("up.weight")));
  up_.bias.copy_(linear_bias(place.width, options.bottleneck, key("up.bias")));
}

BottleneckBlock::Layer BottleneckBlock::add(const char* name, int64_t out, int64_t in) {
  torch::nn::Module& home = name_group(*this, name);
  return {home.register_parameter("weight", torch::zeros({out, in})),
          home.register_parameter("bias", torch::zeros({out}))};
}

Tensor BottleneckBlock::through(const Tensor& x, Activation activation) const {
  const Tensor inner = activation(backend::linear(x, down_.weight, down_.bias));
  return backend::linear(inner, up_.weight, up_.bias);
}

}  // namespace mtlora
