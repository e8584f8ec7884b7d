// RM-LoRA: LoRA, y = W x + b + (alpha / rank) B A dropout(x), whose gradient is masked: from the
// second step on, k of the rank directions are drawn anew at each step, and only these rows of ∂A
// and columns of ∂B reach the optimizer; A and B are drawn towards orthogonality (orthogonality.h).
// arXiv:2407.12074; the paper's text was not to be had, form and numbers are those of the authors'
// code yz-mao/RM-LoRA: A ~ N(0, 0.02²), B = 0, masks after clipping. Unlike that code, which by
// mistake masks the head's gradient whole, only the adapters' gradients are masked.

#include <algorithm>

#include "lib/adapters/low_rank.h"
#include "lib/adapters/orthogonality.h"
#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

struct RmLoraOptions {
  int64_t rank = 8;
  std::optional<int64_t> random_rank;
  std::string variant = "v2", masked = "moments";
  double alpha = 32.0, dropout = 0.0, orthogonality = 0.1;

  static std::vector<std::string> of_training() {
    return {"random_rank", "variant", "masked", "dropout", "orthogonality"};
  }
  void fields(Fields& f) {
    f("rank", rank, "Rank of the change.", at_least(1));
    f("random_rank", random_rank,
      "How many of the directions get a gradient in a step; null: half of rank, as the authors' "
      "GLUE settings.",
      at_least(1));
    f("variant", variant, "v1: the same directions of A and of B. v2: drawn apart for each.",
      one_of({"v1", "v2"}));
    f("masked", masked,
      "What becomes of masked rows in a step. moments: they go on by the optimizer's moments and "
      "decay, as the authors' code. frozen: they stay as they are (what the paper means is not "
      "known to us).",
      one_of({"moments", "frozen"}));
    f("alpha", alpha, "The change is scaled by alpha / rank.", positive());
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
    f("orthogonality", orthogonality,
      "What the mean of ‖A Aᵀ - I‖ and ‖Bᵀ B - I‖ over all changes is multiplied by in the loss; "
      "the authors use 0 and 0.1.",
      not_negative());
  }
  double scale() const { return alpha / static_cast<double>(rank); }
  int64_t kept() const { return random_rank.value_or(std::max<int64_t>(1, rank / 2)); }
  int64_t parameters(int64_t in, int64_t out) const { return rank * (in + out); }
};

// One change, and the key that its masks are drawn with.
struct MaskedPair {
  Tensor a, b;  // [rank, in], [out, rank]
  uint64_t key;
};

class RmLora final : public LowRankAdapter {
 public:
  RmLora(const RmLoraOptions& o, const AdaptedLayer& layer) : LowRankAdapter({o.dropout}, layer) {
    for (Pair& pair : pairs_) {
      pair.scale = o.scale();
      const uint64_t key = combine(layer.key, name_key(pair.part.name));
      pair.a = add(pair, "lora_A", gaussian(o.rank, layer.shape.in, 0.02, key));
      pair.b = add(pair, "lora_B", torch::zeros({pair.part.size(), o.rank}));
      masked_.push_back({pair.a, pair.b, key});
    }
  }
  const std::vector<MaskedPair>& masked_pairs() const { return masked_; }
  /// None: an optimizer that moves A by B, and B by A, would move masked rows by their gradients.
  std::vector<FactorPair> factor_pairs() const override { return {}; }

 private:
  Tensor folded(size_t pair) const override { return pairs_[pair].b; }

  std::vector<MaskedPair> masked_;
};

class RmLoraSet final : public Layerwise<RmLoraOptions, RmLora> {
 public:
  explicit RmLoraSet(RmLoraOptions parsed) : Layerwise(std::move(parsed)) {
    if (options.kept() > options.rank)
      fail("/adapter/method/random_rank: {} is above rank, {}", options.kept(), options.rank);
  }
  std::shared_ptr<Adapter> make(const AdaptedLayer& layer) override {
    std::shared_ptr<Adapter> made = Layerwise::make(layer);
    for (const MaskedPair& pair : layers.back()->masked_pairs()) {
      masked_.push_back(pair);
      pairs_.push_back({pair.a, pair.b});
    }
    return made;
  }
  bool needs_gradients() const override { return true; }
  Tensor penalty() override {
    if (options.orthogonality == 0) return {};
    return options.orthogonality * orthogonality(pairs_);
  }

  void before_update(int64_t step, const StepGradients& gradients) override {
    held_.clear();
    if (step == 0) return;
    for (const MaskedPair& pair : masked_) {
      const Tensor rows = dropped(combine(pair.key, name_key("lora_A")), step);
      mask(gradients, {pair.a, 0, rows});
      mask(gradients,
           {pair.b, 1,
            options.variant == "v1" ? rows : dropped(combine(pair.key, name_key("lora_B")), step)});
    }
  }
  std::vector<Tensor> after_update(int64_t, const StepGradients&) override {
    for (const Held& h : held_) Tensor(h.tensor).index_copy_(h.dim, h.index, h.values);
    return {};
  }

 private:
  // Rows (dim 0) or columns (dim 1) of a tensor, and their values before the step.
  struct Held {
    Tensor tensor;
    int64_t dim;
    Tensor index, values = {};
  };

  void mask(const StepGradients& gradients, Held rows) {
    gradients.of(rows.tensor).index_fill_(rows.dim, rows.index, 0);
    if (options.masked == "moments") return;
    rows.values = rows.tensor.detach().index_select(rows.dim, rows.index);
    held_.push_back(std::move(rows));
  }

  // The directions that get no gradient, int64 [rank - k].
  Tensor dropped(uint64_t key, int64_t step) const {
    const std::vector<int64_t> order =
        permutation(options.rank, combine(key, static_cast<uint64_t>(step)));
    return torch::tensor(std::vector<int64_t>(order.begin() + options.kept(), order.end()),
                         torch::kLong)
        .to(pairs_.front().down.device());
  }

  std::vector<MaskedPair> masked_;
  std::vector<FactorPair> pairs_;
  std::vector<Held> held_;  // within a step
};

}  // namespace

AdapterMethod rm_lora() {
  return layerwise<RmLoraOptions, RmLora, RmLoraSet>(
      {.name = "rm_lora",
       .summary = "LoRA that moves a random part of its ranks in each step.",
       .equation = "ΔW = (α/r)·B·A; rows of ∂A and columns of ∂B outside k random directions are 0",
       .source = "arXiv:2407.12074",
       .is_low_rank = true});
}

}  // namespace mtlora
