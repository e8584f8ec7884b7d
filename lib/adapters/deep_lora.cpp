// Deep LoRA: ΔW = W3 W2 W1 with three trained factors of one width; all start as (partial)
// orthogonal matrices times ε = 10⁻³, so ΔW starts with spectral norm ε³ and not at 0. No alpha.
// Compressed: ΔW = right (W3 W2 W1) leftᵀ with inner factors [r, r] that start as ε I, and outer
// ones from the gradient of the first step (deep_lora_start.h), whose learning rate is γ times the
// others'. Yaras et al. 2024, arXiv:2406.04112, sections 3 and 4; as the authors' code
// cjyaras/deep-lora-transformers, whose kernels are [in, out]: its W1 is our W3ᵀ.

#include <algorithm>
#include <cmath>

#include "lib/adapters/deep_lora_start.h"
#include "lib/adapters/low_rank.h"
#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

struct DeepLoraOptions {
  std::optional<int64_t> rank = 8;
  bool compressed = false;
  double epsilon = 1e-3;
  std::optional<double> gamma;

  static std::vector<std::string> of_training() { return {"epsilon", "gamma"}; }
  void fields(Fields& f) {
    f("rank", rank,
      "Width of the factors, as the published runs have it; null: max(in, out), the full width, "
      "which is far more than the layer itself.",
      at_least(1));
    f("compressed", compressed,
      "Inner factors of this rank between two outer ones, which start from the gradient of the "
      "first step (random orthonormal ones where nothing is trained, as in bench). The rank must "
      "be even. The learning rate is not transferable between the forms: about 100 times larger.");
    f("epsilon", epsilon, "Size of every factor at the start.", positive());
    f("gamma", gamma,
      "Learning rate of the outer factors by that of the others, where there are such "
      "(compressed); 0: frozen. null: 0.01.",
      not_negative());
  }
  Nature nature() const {
    return {.starts_exactly = false, .starts_within = epsilon * epsilon * epsilon};
  }
  int64_t width(int64_t in, int64_t out) const { return rank.value_or(std::max(in, out)); }
  int64_t parameters(int64_t in, int64_t out) const {
    const int64_t w = width(in, out), thin = w * (in + out);
    if (!compressed) return thin + w * w;
    return 3 * w * w + (scale_of_outer() > 0 ? thin : 0);
  }
  double scale_of_outer() const { return gamma.value_or(1e-2); }
  double lr_scale(const std::string& name) const {
    return name == "left" || name == "right" ? scale_of_outer() : 1;
  }
};

class DeepLora final : public LowRankAdapter {
 public:
  DeepLora(const DeepLoraOptions& o, const AdaptedLayer& layer)
      : LowRankAdapter({}, layer), is_compressed_(o.compressed), key_(layer.key) {
    for (Pair& pair : pairs_) {
      const int64_t in = layer.shape.in, out = pair.part.size(), width = o.width(in, out);
      const auto start = [&](const char* name, int64_t rows, int64_t columns) {
        return orthogonal(rows, columns, key_of(pair, name));
      };
      const auto outer = [&](const char* name, int64_t rows) {
        if (!is_compressed_) return Tensor();
        return pair.home->register_parameter(name, start(name, rows, width),
                                             /*requires_grad=*/o.scale_of_outer() > 0);
      };
      const auto factor = [&](const char* name, int64_t rows, int64_t columns) {
        return add(pair, name,
                   o.epsilon * (is_compressed_ ? torch::eye(width) : start(name, rows, columns)));
      };
      if (is_compressed_) check_rank(layer, width, std::min(in, out));
      chains_.push_back({factor("W1", width, in), factor("W2", width, width),
                         factor("W3", out, width), outer("left", in), outer("right", out)});
    }
  }

  /// From the gradient of the whole layer's weight.
  void start_outer(const Tensor& gradient) {
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Pair& pair = pairs_[i];
      const Tensor rows = gradient.narrow(0, pair.part.begin, pair.part.size());
      // A product of orthogonal factors is an orthogonal matrix like any other.
      const Tensor product =
          orthogonal(rows.size(0), rows.size(1), key_of(pair, "product")).to(rows.device());
      const OuterFactors start = compressed_start(rows, product, chains_[i].left.size(1));
      chains_[i].left.copy_(start.left);
      chains_[i].right.copy_(start.right);
    }
  }

 private:
  struct Chain {
    Tensor w1, w2, w3;   // [width, in], [width, width], [out, width]; all [r, r] if compressed
    Tensor left, right;  // [in, r], [out, r]; undefined unless compressed
  };

  static void check_rank(const AdaptedLayer& layer, int64_t rank, int64_t largest) {
    if (rank % 2 != 0 || rank > largest)
      fail(
          "/adapter/method/rank: {} for {}: the compressed form needs an even rank of at most {} "
          "there",
          rank, layer.path, largest);
  }
  uint64_t key_of(const Pair& pair, const char* name) const {
    return combine(combine(key_, name_key(pair.part.name)), name_key(name));
  }
  Tensor down(size_t i) const override {
    const Chain& c = chains_[i];
    return is_compressed_ ? c.w1.mm(c.left.t()) : c.w1;
  }
  Tensor folded(size_t i) const override {
    const Chain& c = chains_[i];
    return is_compressed_ ? c.right.mm(c.w3.mm(c.w2)) : c.w3.mm(c.w2);
  }

  bool is_compressed_;
  uint64_t key_;
  std::vector<Chain> chains_;  // of each part
};

class DeepLoraSet final : public Layerwise<DeepLoraOptions, DeepLora> {
 public:
  explicit DeepLoraSet(DeepLoraOptions parsed) : Layerwise(std::move(parsed)) {
    if (options.compressed && !options.rank)
      fail("/adapter/method/rank: the compressed form needs one");
    if (options.gamma && !options.compressed)
      fail(
          "/adapter/method/gamma: is for the outer factors of the compressed form "
          "(/adapter/method/compressed), and without it there are none; leave gamma out");
  }
  bool wants_weight_gradients() const override { return options.compressed; }
  void initialise(const std::vector<Tensor>& gradients) override {
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < layers.size(); ++i) layers[i]->start_outer(gradients.at(i));
  }
};

}  // namespace

AdapterMethod deep_lora() {
  return layerwise<DeepLoraOptions, DeepLora, DeepLoraSet>(
      {.name = "deep_lora",
       .summary = "A product of three factors that start small and orthogonal; compressed: between "
                  "two more that start from the first step's gradient.",
       .equation = "ΔW = W3·W2·W1, or right·W3·W2·W1·leftᵀ",
       .source = "Yaras et al. 2024, arXiv:2406.04112",
       .is_low_rank = true});
}

}  // namespace mtlora
