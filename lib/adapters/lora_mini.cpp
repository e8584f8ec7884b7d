// LoRA-Mini: y = W x + b + s B_aux B_train A_train A_aux dropout(x), of which only the inner
// factors are trained: A_train [rank, a], B_train [b, rank]; A_aux [a, in] and B_aux [out, b] are
// random and stay as they are (the checkpoint holds them). arXiv:2411.15804. The paper's text and
// code were not at hand: starting values, the scale and the default sizes are our choice, and
// marked as such.

#include <cmath>

#include "lib/adapters/low_rank.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

struct LoraMiniOptions {
  int64_t rank = 8, a = 64, b = 64;
  double alpha = 16.0, dropout = 0.0;

  static std::vector<std::string> of_training() { return {"dropout"}; }
  void fields(Fields& f) {
    f("rank", rank, "Rank of the change. The default is our choice.", at_least(1));
    f("a", a,
      "Inner width on the input's side: A_train is [rank, a], A_aux [a, in], uniform within "
      "1/sqrt(in). No source states its values or its start; both are our choice.",
      at_least(1));
    f("b", b,
      "Inner width on the output's side: B_train is [b, rank] and starts at 0, B_aux is [out, b], "
      "normal with variance 1/b. No source states its values or its start; both are our choice.",
      at_least(1));
    f("alpha", alpha,
      "The change is scaled by alpha / rank, as LoRA's. No source states the scale; it is our "
      "choice.",
      positive());
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
  }
  int64_t parameters(int64_t, int64_t) const { return rank * (a + b); }
};

class LoraMini final : public LowRankAdapter {
 public:
  LoraMini(const LoraMiniOptions& o, const AdaptedLayer& layer)
      : LowRankAdapter({o.dropout}, layer) {
    const int64_t in = layer.shape.in;
    for (Pair& pair : pairs_) {
      pair.scale = o.alpha / static_cast<double>(o.rank);
      const uint64_t key = combine(layer.key, name_key(pair.part.name));
      const auto keep = [&](const char* name, const Tensor& value) {
        return pair.home->register_parameter(name, value, /*requires_grad=*/false);
      };
      const double deviation = 1 / std::sqrt(static_cast<double>(o.b));
      outer_.push_back(
          {keep("A_aux", kaiming_uniform(o.a, in, combine(key, 1))),
           keep("B_aux", gaussian(pair.part.size(), o.b, deviation, combine(key, 2)))});
      pair.a = add(pair, "A_train", kaiming_uniform(o.rank, o.a, key));
      pair.b = add(pair, "B_train", torch::zeros({o.b, o.rank}));
    }
  }

 private:
  Tensor down(size_t i) const override { return pairs_[i].a.mm(outer_[i].a); }
  Tensor folded(size_t i) const override { return outer_[i].b.mm(pairs_[i].b); }

  struct Outer {
    Tensor a, b;  // [a, in], [out, b]
  };
  std::vector<Outer> outer_;  // of each pair
};

}  // namespace

AdapterMethod lora_mini() {
  return layerwise<LoraMiniOptions, LoraMini>(
      {.name = "lora_mini",
       .summary =
           "LoRA between two fixed random matrices: only the small inner factors are trained.",
       .equation = "ΔW = (α/r)·B_aux·B_train·A_train·A_aux",
       .source = "arXiv:2411.15804",
       .is_low_rank = true});
}

}  // namespace mtlora
