// XGBLoRA: W_t = W_{t-1} + s b_t a_t, one product of rank 1 after another. A booster trains fresh
// factors of some randomly sampled layers for a number of steps; then they are part of the base.
// arXiv:2410.19694; written from its abstract and public reviews, no code of the authors is known.
// Not stated there, and our choice: how many steps and layers, U(±1/√in) for the start of a, s = 1,
// the weight of the norm penalty (0), one learning rate schedule over all boosters.
//
// "Part of the base" is exact and can be taken back: finished factors stand, frozen, in A_sum and
// B_sum, and the layer computes base + one product of all factors, which is what adding them to an
// fp32 weight would give. A layer that is not sampled has a = b = 0: no gradient reaches it and no
// decay moves it.

#include <algorithm>
#include <set>

#include "lib/adapters/low_rank.h"
#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

struct XgbloraOptions {
  int64_t boosters = 8, rank = 1;
  std::optional<int64_t> booster_steps, sampled_layers;
  double scale = 1.0, norm_penalty = 0.0, dropout = 0.0;

  static std::vector<std::string> of_training() { return {"norm_penalty", "dropout"}; }
  void fields(Fields& f) {
    f("boosters", boosters,
      "How many products are learned one after another (the paper's number is not known to us; the "
      "default is our choice). 1, with all layers sampled: LoRA.",
      at_least(1));
    f("booster_steps", booster_steps,
      "Steps of one booster; null: the run's steps are divided among the boosters as evenly as it "
      "goes. The run must need as many boosters as there are.",
      at_least(1));
    f("sampled_layers", sampled_layers,
      "How many of the model's layers a booster trains; null: half of those that have targets, "
      "rounded up (our choice; the paper finds 11 of LLaMA-3-8B's 32 best).",
      at_least(1));
    f("rank", rank, "Rank of one product.", at_least(1));
    f("scale", scale, "What each product is multiplied by (not stated in the paper; our choice).",
      positive());
    f("norm_penalty", norm_penalty,
      "Added to the loss: this times the sum of squares of the factors in training (the paper has "
      "such a term; its weight is not known to us).",
      not_negative());
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
  }
  /// The factors that every layer holds for training; a booster moves those of its layers alone,
  /// and those of finished boosters, (boosters - 1) times as many, are frozen.
  int64_t parameters(int64_t in, int64_t out) const { return rank * (in + out); }
};

class Xgblora final : public LowRankAdapter {
 public:
  Xgblora(const XgbloraOptions& o, const AdaptedLayer& layer)
      : LowRankAdapter({o.dropout}, layer),
        rank_(o.rank),
        booster_(o.boosters - 1),
        key_(layer.key) {
    for (Pair& pair : pairs_) {
      pair.scale = o.scale;
      pair.a = add(pair, "A", fresh(pair, layer.shape.in, 0));
      pair.b = add(pair, "B", torch::zeros({pair.part.size(), rank_}));
      if (booster_ == 0) continue;
      const auto frozen = [&](const char* name, int64_t rows, int64_t columns) {
        return pair.home->register_parameter(name, torch::zeros({rows, columns}), false);
      };
      sums_.push_back({frozen("A_sum", booster_ * rank_, layer.shape.in),
                       frozen("B_sum", pair.part.size(), booster_ * rank_)});
    }
  }

  /// Whether it holds nothing that was learned.
  bool is_new() const {
    const auto is_zero = [](const Tensor& t) { return !t.any().item<bool>(); };
    return std::all_of(pairs_.begin(), pairs_.end(), [&](const Pair& p) { return is_zero(p.b); }) &&
           std::all_of(sums_.begin(), sums_.end(), [&](const Sum& s) { return is_zero(s.b); });
  }
  /// The booster at work and whether it trains this layer.
  void turn_to(int64_t booster, bool is_sampled) {
    booster_ = booster;
    is_sampled_ = is_sampled;
  }
  /// Fresh factors for the booster at work.
  void start() {
    for (Pair& pair : pairs_) {
      pair.b.zero_();
      if (is_sampled_)
        pair.a.copy_(fresh(pair, pair.a.size(1), static_cast<uint64_t>(booster_)));
      else
        pair.a.zero_();
    }
  }
  /// Lays the factors of the booster at work beside those of the finished ones.
  void finish() {
    for (size_t i = 0; i < pairs_.size(); ++i) {
      sums_[i].a.narrow(0, booster_ * rank_, rank_).copy_(pairs_[i].a);
      sums_[i].b.narrow(1, booster_ * rank_, rank_).copy_(pairs_[i].b);
    }
  }
  /// Takes back what an optimizer does without a gradient.
  void stay_still() {
    if (is_sampled_) return;
    for (Pair& pair : pairs_) {
      pair.a.zero_();
      pair.b.zero_();
    }
  }
  /// The sum of squares of what is trained.
  Tensor squares() const {
    Tensor sum;
    for (const Pair& pair : pairs_) {
      const Tensor one = pair.a.square().sum() + pair.b.square().sum();
      sum = sum.defined() ? sum + one : one;
    }
    return sum;
  }
  bool is_sampled() const { return is_sampled_; }
  void append_tensors(std::vector<Tensor>& out) const {
    for (const Pair& pair : pairs_) out.insert(out.end(), {pair.a, pair.b});
  }

 private:
  struct Sum {
    Tensor a, b;  // [(boosters - 1) · rank, in], [out, (boosters - 1) · rank]
  };

  Tensor fresh(const Pair& pair, int64_t in, uint64_t booster) const {
    return kaiming_uniform(rank_, in, combine(combine(key_, name_key(pair.part.name)), booster));
  }
  Tensor trained(const Tensor& factor) const { return is_sampled_ ? factor : factor.detach(); }
  Tensor down(size_t i) const override {
    const Tensor a = trained(pairs_[i].a);
    return booster_ == 0 ? a : torch::cat({sums_[i].a.narrow(0, 0, booster_ * rank_), a});
  }
  Tensor folded(size_t i) const override {
    const Tensor b = trained(pairs_[i].b);
    return booster_ == 0 ? b : torch::cat({sums_[i].b.narrow(1, 0, booster_ * rank_), b}, 1);
  }

  int64_t rank_;
  int64_t booster_;  // at work, behind those in the sums; outside of training the last one, empty
                     // slots being 0
  uint64_t key_;
  bool is_sampled_ = true;
  std::vector<Sum> sums_;  // of each pair
};

class XgbloraSet final : public Layerwise<XgbloraOptions, Xgblora> {
 public:
  using Layerwise::Layerwise;

  void survey(const std::vector<AdaptedLayer>& all) override {
    for (const AdaptedLayer& layer : all) depths_.push_back(layer.depth());
    const std::set<int64_t> distinct(depths_.begin(), depths_.end());
    groups_.assign(distinct.begin(), distinct.end());
    const auto count = static_cast<int64_t>(groups_.size());
    sampled_ = options.sampled_layers.value_or((count + 1) / 2);
    if (sampled_ > count)
      fail("/adapter/method/sampled_layers: {} is more than the {} layers that have targets",
           sampled_, count);
  }

  void check(const TrainingPlan& plan) const override {
    require_room(plan);
    if (options.boosters > boosters_of(plan))
      fail(
          "/adapter/method/boosters: {} steps of {} a booster are {} boosters, fewer than the {} "
          "asked for; leave booster_steps out to have the steps divided among them",
          plan.total_steps, *options.booster_steps, boosters_of(plan), options.boosters);
    if (options.boosters > plan.total_steps)
      fail("/adapter/method/boosters: {} boosters, but the run has only {} steps", options.boosters,
           plan.total_steps);
    for (const auto& layer : layers)
      if (!layer->is_new())
        fail(
            "/adapter/start_from: xgblora has no place for what another run has learned; merge "
            "that run into a model (mtlora export) and start from it");
  }
  void begin(const TrainingPlan& plan) override {
    require_room(plan);
    plan_ = plan;
    turn_to(std::min(booster_of(plan.step), options.boosters - 1));
    if (plan.step > 0) return;
    const torch::NoGradGuard no_grad;
    for (const auto& layer : layers) layer->start();
  }

  bool repeats() const override { return false; }  // the sampled layers change
  bool may_leave_out_steps() const override { return false; }
  Tensor penalty() override {
    if (options.norm_penalty == 0) return {};
    Tensor sum;
    for (const auto& layer : layers)
      if (layer->is_sampled()) sum = sum.defined() ? sum + layer->squares() : layer->squares();
    return options.norm_penalty * sum;
  }

  std::vector<Tensor> after_update(int64_t step, const StepGradients&) override {
    for (const auto& layer : layers) layer->stay_still();
    const int64_t done = step + 1;
    if (booster_of(done) == booster_of(step) || done >= plan_.total_steps) return {};
    for (const auto& layer : layers) layer->finish();
    turn_to(booster_of(done));
    std::vector<Tensor> anew;
    for (const auto& layer : layers) {
      layer->start();
      layer->append_tensors(anew);
    }
    return anew;
  }

 private:
  // How many a run makes.
  int64_t boosters_of(const TrainingPlan& plan) const {
    if (!options.booster_steps) return options.boosters;
    return (plan.total_steps - 1) / *options.booster_steps + 1;
  }
  void require_room(const TrainingPlan& plan) const {
    if (boosters_of(plan) > options.boosters)
      fail(
          "/adapter/method/booster_steps: {} steps of {} a booster are {} boosters, more than the "
          "{} of /adapter/method/boosters",
          plan.total_steps, *options.booster_steps, boosters_of(plan), options.boosters);
  }
  // The one at work in a step.
  int64_t booster_of(int64_t step) const {
    return options.booster_steps ? step / *options.booster_steps
                                 : step * options.boosters / plan_.total_steps;
  }
  // The layers of a booster are a function of the run's seed and its number.
  void turn_to(int64_t booster) {
    const uint64_t key =
        combine(combine(plan_.seed, name_key("xgblora")), static_cast<uint64_t>(booster));
    const std::vector<int64_t> order = permutation(static_cast<int64_t>(groups_.size()), key);
    std::set<int64_t> chosen;
    for (int64_t i = 0; i < sampled_; ++i)
      chosen.insert(groups_[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    for (size_t i = 0; i < layers.size(); ++i)
      layers[i]->turn_to(booster, chosen.contains(depths_[i]));
  }

  std::vector<int64_t> depths_;  // of each adapted layer
  std::vector<int64_t> groups_;  // the different ones, which are sampled
  int64_t sampled_ = 0;
  TrainingPlan plan_;
};

}  // namespace

AdapterMethod xgblora() {
  return layerwise<XgbloraOptions, Xgblora, XgbloraSet>(
      {.name = "xgblora",
       .summary = "Learns products of rank 1 one after another, each on a few sampled layers. The "
                  "parameters counted are the factors of all layers; a booster moves those of its "
                  "sampled layers alone.",
       .equation = "W_t = W_{t-1} + s·b_t·a_t, t = 1 … boosters",
       .source = "arXiv:2410.19694",
       .is_low_rank = true});
}

}  // namespace mtlora
