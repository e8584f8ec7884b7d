// DoRA: each row of V = W + s B A has a trained length m of its own, with s = alpha / rank:
//   y = W x + b + (m/n - 1) ⊙ (W x̃) + (m/n) ⊙ (s B A x̃),   n = ‖V‖ row by row,  x̃ = dropout(x)
// m starts as the rows' lengths of W, so nothing changes. n counts as a constant in backward. Liu
// et al. 2024, arXiv:2402.09353, sections 4.1 and 4.3; NVlabs/DoRA (dora_simple) and Hugging Face
// PEFT.
//
// V is never formed: n² = ‖W‖² + Σ_k B_k (2s (W Aᵀ)_k + s² (B A Aᵀ)_k). Without dropout the two
// terms of W are one, y = (m/n) ⊙ (W x + s B A x) + b, at the cost of LoRA and one pass over y.

#include "lib/adapters/low_rank.h"
#include "lib/adapters/ranks.h"
#include "lib/core/random.h"
#include "lib/nn/channels.h"

namespace mtlora {
namespace {

struct DoraOptions : RankOptions {
  double dropout = 0.0, lr_ratio = 1.0;
  bool norm_gradient = false;

  static std::vector<std::string> of_training() { return {"dropout", "norm_gradient", "lr_ratio"}; }
  void fields(Fields& f) {
    RankOptions::fields(f);
    f("dropout", dropout,
      "Dropout probability on the input of all that is added to the layer's own output; costs a "
      "second product with the weight.",
      at_least_zero_below(1));
    f("norm_gradient", norm_gradient,
      "Let the gradient flow through the norm as well; otherwise the norm counts as a constant in "
      "backward, as the paper (section 4.3), its code and PEFT have it.");
    f("lr_ratio", lr_ratio, "LoRA+: the learning rate of B is that of A times this.", positive());
  }
  double lr_scale(const std::string& name) const { return name == "lora_B" ? lr_ratio : 1.0; }
  int64_t parameters(int64_t in, int64_t out) const { return rank * (in + out) + out; }
  Nature nature() const { return {.is_added = false, .has_exact_gradients = norm_gradient}; }
};

Tensor squares_of_rows(const Tensor& weight) {
  return weight.square().sum(1);
}

// A row of zeros keeps the length 0: without a bound, 0 / 0 would make it NaN.
Tensor root(const Tensor& squares) {
  return squares.clamp_min(1e-30).sqrt();
}

class Dora final : public LowRankAdapter {
 public:
  Dora(const DoraOptions& o, const AdaptedLayer& layer)
      : LowRankAdapter({o.dropout}, layer), norm_gradient_(o.norm_gradient) {
    for (Pair& pair : pairs_) {
      const RankAndAlpha own = o.of(layer, pair.part);
      const int64_t out = pair.part.size();
      const uint64_t key = combine(layer.key, name_key(pair.part.name));
      pair.a = add(pair, "lora_A", kaiming_uniform(own.rank, layer.shape.in, key));
      pair.b = add(pair, "lora_B", torch::zeros({out, own.rank}));
      pair.scale = own.scale();
      magnitudes_.push_back(add(pair, "lora_magnitude_vector", torch::ones({out})));
    }
  }

  void meet(const Affine& base) override {
    base_squares_.clear();
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Tensor weight = rows(base.weight, pairs_[i].part, 0);
      base_squares_.push_back(
          squares_of_rows(weight.to(torch::kDouble)).to(magnitudes_[i].scalar_type()));
      magnitudes_[i].copy_(root(base_squares_[i]));
    }
  }

  Tensor forward(const Tensor& x, const LinearMap& base, const Part& range,
                 const Pass& pass) override {
    backend::LowRank change = change_in(range, pass);
    if (change.parts.empty()) return backend::linear(x, base.weight, base.bias);
    const Tensor ratio = ratios(base.weight.tensor(), range);
    change.dropout = input_dropout(pass);
    const Tensor y = backend::linear_low_rank(x, base.weight, base.bias, change);
    if (!change.dropout.rows.defined()) {  // (m/n) ⊙ (y - b) + b
      const Tensor shift = base.bias.defined() ? (1 - ratio) * base.bias : Tensor();
      return backend::scale_channels(y, ratio, shift);
    }
    const Tensor dropped = backend::dropout(x, change.dropout);
    change.dropout = {};
    const Tensor direction = backend::linear_low_rank(dropped, base.weight, {}, change);
    return backend::add_diagonals(y, direction, {{0, ratio - 1}});
  }

  Affine merged(const Affine& base) const override {
    const Affine sum = LowRankAdapter::merged(base);
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Tensor v = rows(sum.weight, pairs_[i].part, 0);
      v.mul_((magnitudes_[i] / root(squares_of_rows(v))).unsqueeze(1));
    }
    return sum;
  }

  std::vector<LowRankForm> low_rank_form() const override {
    std::vector<LowRankForm> forms = LowRankAdapter::low_rank_form();
    for (size_t i = 0; i < forms.size(); ++i) forms[i].magnitude = magnitudes_[i];
    return forms;
  }

 private:
  // B of a pair; LoRA's T is the identity.
  Tensor folded(size_t pair) const override { return pairs_[pair].b; }

  // The rows of a part in a weight that begins with row `first` of the layer's.
  static Tensor rows(const Tensor& weight, const Part& part, int64_t first) {
    return weight.narrow(0, part.begin - first, part.size());
  }

  // ‖W + s B A‖² of a pair's rows.
  Tensor squares(size_t i, const Tensor& weight) const {
    const double s = pairs_[i].scale;
    const auto seen = [&](const Tensor& t) { return norm_gradient_ ? t : t.detach(); };
    const Tensor a = seen(pairs_[i].a), b = seen(pairs_[i].b);
    const auto wide = [&] { return seen(weight).to(a.scalar_type()); };
    TORCH_INTERNAL_ASSERT(i < base_squares_.size(), "DoRA has not met its base");
    // a weight that is trained too has another length at every step
    const Tensor own = weight.requires_grad() ? squares_of_rows(wide()) : base_squares_[i];
    const Tensor cross = norm_gradient_ ? wide().mm(a.t()) : backend::exact_product(weight, a);
    return own + (b * (2 * s * cross + s * s * b.mm(a.mm(a.t())))).sum(1);
  }

  // m / n of the rows in `range`; 1 where they are not adapted.
  Tensor ratios(const Tensor& weight, const Part& range) const {
    std::vector<Tensor> pieces;
    int64_t done = range.begin;
    const auto skip_to = [&](int64_t row) {
      if (row > done) pieces.push_back(torch::ones({row - done}, magnitudes_[0].options()));
      done = row;
    };
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Part& part = pairs_[i].part;
      if (!range.contains(part)) continue;
      skip_to(part.begin);
      pieces.push_back(magnitudes_[i] / root(squares(i, rows(weight, part, range.begin))));
      done = part.end;
    }
    skip_to(range.end);
    return pieces.size() == 1 ? pieces[0] : torch::cat(pieces);
  }

  bool norm_gradient_;
  std::vector<Tensor> magnitudes_;    // of each pair, [out]
  std::vector<Tensor> base_squares_;  // ‖W‖² of each pair's rows, [out]
};

}  // namespace

AdapterMethod dora() {
  return layerwise<DoraOptions, Dora>(
      {.name = "dora",
       .summary = "LoRA for the direction of each row of the weight, and a trained length.",
       .equation = "W' = m ⊙ (W + (α/r)·B·A) / ‖W + (α/r)·B·A‖, row by row",
       .source = "Liu et al. 2024, arXiv:2402.09353",
       .is_low_rank = true});
}

}  // namespace mtlora
