// AdaLoRA: y = W x + b + s B diag(E) A dropout(x), with W and b frozen and s = alpha / (rank +
// 1e-5); rank-one terms of little importance are removed from the whole model as training goes on
// (rank_budget.h), and A and B are drawn towards orthogonality (orthogonality.h). Zhang et al.
// 2023, arXiv:2303.10512; form, scale and initialisation as the authors' loralib, and as Hugging
// Face PEFT: A, B ~ N(0, 0.02²), E = 0, and s keeps the rank of the beginning.

#include <algorithm>

#include "lib/adapters/low_rank.h"
#include "lib/adapters/orthogonality.h"
#include "lib/adapters/rank_budget.h"
#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

// Medians of the shares of their runs that the authors' eight GLUE scripts give to each, and of the
// interval.
constexpr int64_t init_percent = 13, final_percent = 48, intervals = 600;

struct AdaloraOptions {
  int64_t rank = 12;
  std::optional<int64_t> target_rank, init_steps, final_steps, mask_interval;
  double alpha = 16.0, dropout = 0.0, orthogonality = 0.1, beta1 = 0.85, beta2 = 0.85;

  static std::vector<std::string> of_training() {
    return {"target_rank",   "dropout",       "init_steps", "final_steps",
            "mask_interval", "orthogonality", "beta1",      "beta2"};
  }
  void fields(Fields& f) {
    f("rank", rank, "Rank of every change at the beginning.", at_least(1));
    f("target_rank", target_rank,
      "Mean rank of the changes in the last phase; null: two thirds of rank, as PEFT's 12 and 8. A "
      "checkpoint from before the last phase may keep more.",
      at_least(1));
    f("alpha", alpha, "The change is scaled by alpha / (rank + 1e-5); 0: by about 1.",
      not_negative());
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
    f("init_steps", init_steps,
      "Steps before anything is removed; null: 13 % of the run, the median of the authors' GLUE "
      "scripts (the paper gives numbers for each task; the shares are our choice).",
      at_least(0));
    f("final_steps", final_steps,
      "Steps at the end with the target rank and without new choices; null: 48 % of the run, "
      "likewise. With less than 2 the target would not be reached.",
      at_least(2));
    f("mask_interval", mask_interval,
      "In between, terms are chosen anew at multiples of this step; null: a 600th of the run, at "
      "least 1, likewise.",
      at_least(1));
    f("orthogonality", orthogonality,
      "What the mean of ‖A Aᵀ - I‖ and ‖Bᵀ B - I‖ over all changes is multiplied by in the loss.",
      not_negative());
    f("beta1", beta1, "Decay of the mean of a weight's importance.", at_least_zero_below(1));
    f("beta2", beta2, "Decay of the mean of its uncertainty.", at_least_zero_below(1));
  }
  double scale() const {
    const auto r = static_cast<double>(rank);
    return (alpha > 0 ? alpha : r) / (r + 1e-5);
  }
  int64_t target() const { return target_rank.value_or(std::max<int64_t>(1, rank * 2 / 3)); }
  int64_t parameters(int64_t in, int64_t out) const { return rank * (in + out) + rank; }
  BudgetSchedule schedule(int64_t total_steps, const RankBudget& budget) const;
};

BudgetSchedule AdaloraOptions::schedule(int64_t total_steps, const RankBudget& budget) const {
  // the last phase of a run of two steps has one, of a run of one step none
  const int64_t least = std::min<int64_t>(2, total_steps - 1);
  const BudgetSchedule s{
      .first = budget.first(),
      .target = target() * budget.changes(),
      .total_steps = total_steps,
      .init_steps = init_steps.value_or(init_percent * total_steps / 100),
      .final_steps = final_steps.value_or(std::max(least, final_percent * total_steps / 100)),
      .mask_interval = mask_interval.value_or(std::max<int64_t>(1, total_steps / intervals))};
  if (s.init_steps + s.final_steps >= total_steps)
    fail(
        "/adapter/method: init_steps ({}{}) and final_steps ({}{}) leave none of the run's {} "
        "steps in between to remove ranks in; make them smaller, or null for a share of the run",
        s.init_steps, init_steps ? "" : ", from null", s.final_steps,
        final_steps ? "" : ", from null", total_steps);
  return s;
}

class Adalora final : public LowRankAdapter {
 public:
  Adalora(const AdaloraOptions& o, const AdaptedLayer& layer) : LowRankAdapter({o.dropout}, layer) {
    const auto start = [&](int64_t rows, int64_t columns, const Pair& pair, const char* name) {
      const uint64_t key = combine(layer.key, name_key(pair.part.name));
      return gaussian(rows, columns, 0.02, combine(key, name_key(name)));
    };
    for (Pair& pair : pairs_) {
      pair.scale = o.scale();
      const int64_t out = pair.part.size();
      pair.a = add(pair, "lora_A", start(o.rank, layer.shape.in, pair, "lora_A"));
      pair.b = add(pair, "lora_B", start(out, o.rank, pair, "lora_B"));
      e_.push_back(add(pair, "lora_E", torch::zeros({o.rank, 1})));
    }
  }
  /// None: the change is no function of the product B A.
  std::vector<FactorPair> factor_pairs() const override { return {}; }

  std::vector<Terms> terms(const AdaptedLayer& layer) const {
    std::vector<Terms> all;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Pair& pair = pairs_[i];
      all.push_back({layer.path_of(pair.part), pair.a, pair.b, e_[i]});
    }
    return all;
  }

 private:
  Tensor folded(size_t pair) const override { return pairs_[pair].b * e_[pair].t(); }

  std::vector<Tensor> e_;  // of each pair, [rank, 1]
};

class AdaloraSet final : public Layerwise<AdaloraOptions, Adalora> {
 public:
  explicit AdaloraSet(AdaloraOptions parsed)
      : Layerwise(std::move(parsed)), budget_(options.beta1, options.beta2) {
    if (options.target() > options.rank)
      fail("/adapter/method/target_rank: {} is above the rank at the beginning, {}",
           options.target(), options.rank);
  }
  std::shared_ptr<Adapter> make(const AdaptedLayer& layer) override {
    std::shared_ptr<Adapter> made = Layerwise::make(layer);
    for (const Terms& terms : layers.back()->terms(layer)) {
      budget_.add(terms);
      pairs_.push_back({terms.a, terms.b});
    }
    return made;
  }
  bool needs_gradients() const override { return true; }
  void check(const TrainingPlan& plan) const override {
    options.schedule(plan.total_steps, budget_);
  }
  void begin(const TrainingPlan& plan) override {
    schedule_ = options.schedule(plan.total_steps, budget_);
  }
  Tensor penalty() override {
    if (options.orthogonality == 0) return {};
    return options.orthogonality * orthogonality(pairs_);
  }
  std::vector<Tensor> after_update(int64_t step, const StepGradients& gradients) override {
    TORCH_INTERNAL_ASSERT(schedule_, "begin() comes before the first step");
    budget_.after_update(*schedule_, step, gradients);
    return {};
  }
  std::vector<std::pair<std::string, Tensor>> state() override { return budget_.state(); }

 private:
  RankBudget budget_;
  std::vector<FactorPair> pairs_;
  std::optional<BudgetSchedule> schedule_;
};

}  // namespace

AdapterMethod adalora() {
  return layerwise<AdaloraOptions, Adalora, AdaloraSet>(
      {.name = "adalora",
       .summary = "LoRA whose ranks are chosen over the whole model while it trains.",
       .equation = "ΔW = α/(r+1e-5)·B·diag(E)·A",
       .source = "Zhang et al. 2023, arXiv:2303.10512",
       .is_low_rank = true});
}

}  // namespace mtlora
