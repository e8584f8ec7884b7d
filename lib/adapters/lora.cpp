// LoRA: y = W x + b + s B A dropout(x), with W and b frozen; s = alpha / rank, or alpha /
// sqrt(rank) (rsLoRA). Hu et al. 2021, arXiv:2106.09685, section 4.1; Kalajdzievski 2023,
// arXiv:2312.03732. Initialisation as microsoft/LoRA loralib 0.1.2 and Hugging Face PEFT. LoRA+: B
// learns at lr_ratio times the rate of A; Hayou et al. 2024, arXiv:2402.12354.

#include <algorithm>
#include <cmath>

#include "lib/adapters/low_rank.h"
#include "lib/adapters/ranks.h"
#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

struct LoraOptions : RankOptions {
  double dropout = 0.0, lr_ratio = 1.0;
  bool rslora = false;
  std::string init = "kaiming", bias = "none";

  static std::vector<std::string> of_training() { return {"dropout", "init", "lr_ratio"}; }
  void fields(Fields& f) {
    RankOptions::fields(f);
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
    f("rslora", rslora, "Scale by alpha / sqrt(rank) instead.");
    f("init", init,
      "Start of A: kaiming is uniform within 1/sqrt(in), gaussian has deviation 1/rank. B starts "
      "at 0.",
      one_of({"kaiming", "gaussian"}));
    f("bias", bias,
      "Which biases are trained: none, those of the adapted layers (lora_only), or all of the "
      "model.",
      one_of({"none", "lora_only", "all"}));
    f("lr_ratio", lr_ratio, "LoRA+: the learning rate of B is that of A times this.", positive());
  }
  double lr_scale(const std::string& name) const { return name == "lora_B" ? lr_ratio : 1.0; }
  double scale(const RankAndAlpha& own) const {
    return rslora ? own.alpha / std::sqrt(static_cast<double>(own.rank)) : own.scale();
  }
  int64_t parameters(int64_t in, int64_t out) const {
    return rank * (in + out) + (bias == "lora_only" ? out : 0);
  }
  std::vector<std::string> trainable() const {
    return bias == "all" ? std::vector<std::string>{"bias"} : std::vector<std::string>{};
  }
  void check(const std::vector<AdaptedLayer>& adapted) const {
    RankOptions::check(adapted);
    const bool has_bias =
        std::any_of(adapted.begin(), adapted.end(),
                    [](const AdaptedLayer& layer) { return layer.shape.has_bias; });
    if (bias == "lora_only" && !has_bias)
      fail(
          "/adapter/method/bias: lora_only, but none of the adapted layers has a bias; none trains "
          "the same");
  }
};

class Lora final : public LowRankAdapter {
 public:
  Lora(const LoraOptions& o, const AdaptedLayer& layer)
      : LowRankAdapter({o.dropout, o.bias == "lora_only"}, layer) {
    for (Pair& pair : pairs_) {
      const RankAndAlpha own = o.of(layer, pair.part);
      const uint64_t key = combine(layer.key, name_key(pair.part.name));
      const Tensor start = o.init == "kaiming" ? kaiming_uniform(own.rank, layer.shape.in, key)
                                               : gaussian(own.rank, layer.shape.in,
                                                          1.0 / static_cast<double>(own.rank), key);
      pair.a = add(pair, "lora_A", start);
      pair.b = add(pair, "lora_B", torch::zeros({pair.part.size(), own.rank}));
      pair.scale = o.scale(own);
    }
  }

 private:
  Tensor folded(size_t pair) const override { return pairs_[pair].b; }
};

}  // namespace

AdapterMethod lora() {
  return layerwise<LoraOptions, Lora>(
      {.name = "lora",
       .summary = "Adds a product of two thin matrices to the weight.",
       .equation = "ΔW = (α/r)·B·A",
       .source = "Hu et al. 2021, arXiv:2106.09685",
       .is_low_rank = true});
}

}  // namespace mtlora
