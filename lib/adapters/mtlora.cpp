// MTLoRA: y = W x + b + (alpha / rank) B T A dropout(x), with W and b frozen and T [rank, rank] of
// one of four structures: SHIM T = C, ICFM T = C Cᵀ, CTCM T = C D, DTSM T = C + D. Liang et al.,
// arXiv:2403.07440; Neural Networks 199:108642. Forms and the initialisation `repo` as in the
// authors' code YaoLiang2023/MTLoRA; `identity` follows its README's tip, where the deviation of A
// (0.02) and DTSM's split (C = D = I/2) are not stated and are our choice.

#include "lib/adapters/low_rank.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

enum class Structure { shim, icfm, ctcm, dtsm };

Structure structure_of(const std::string& name) {
  return name == "shim"   ? Structure::shim
         : name == "icfm" ? Structure::icfm
         : name == "ctcm" ? Structure::ctcm
                          : Structure::dtsm;
}

bool has_d(Structure s) {
  return s == Structure::ctcm || s == Structure::dtsm;
}

struct MtloraOptions {
  std::string structure = "icfm", init = "repo";
  int64_t rank = 8;
  double alpha = 16.0, dropout = 0.0;

  void fields(Fields& f) {
    f("structure", structure, "Form of T: shim is C, icfm is C Cᵀ, ctcm is C D, dtsm is C + D.",
      one_of({"shim", "icfm", "ctcm", "dtsm"}));
    f("rank", rank, "Rank of the change.", at_least(1));
    f("alpha", alpha, "The change is scaled by alpha / rank.");
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
    f("init", init,
      "repo: A, C and D uniform within 1/sqrt(columns), as the authors' code. identity: T starts "
      "as the identity, A "
      "Gaussian with deviation 0.02 (the README's tip; the deviation, and C = D = I/2 for dtsm, "
      "are not stated there). "
      "B starts at 0.",
      one_of({"repo", "identity"}));
  }
  int64_t parameters(int64_t in, int64_t out) const {
    return rank * (in + out) + (has_d(structure_of(structure)) ? 2 : 1) * rank * rank;
  }
};

class Mtlora final : public LowRankAdapter {
 public:
  Mtlora(const MtloraOptions& o, const AdaptedLayer& layer)
      : LowRankAdapter({o.alpha / static_cast<double>(o.rank), o.dropout}, layer),
        structure_(structure_of(o.structure)) {
    for (Pair& pair : pairs_) {
      const uint64_t key = combine(layer.key, name_key(pair.part.name));
      const bool identity = o.init == "identity";
      pair.a = add(pair, "A",
                   identity ? gaussian(o.rank, layer.shape.in, 0.02, key)
                            : kaiming_uniform(o.rank, layer.shape.in, key));
      const auto core = [&](const char* name, uint64_t which) {
        return add(pair, name,
                   identity ? core_identity(o.rank)
                            : kaiming_uniform(o.rank, o.rank, combine(key, which)));
      };
      c_.push_back(core("C", 1));
      d_.push_back(has_d(structure_) ? core("D", 2) : Tensor());
      pair.b = add(pair, "B", torch::zeros({pair.part.size(), o.rank}));
    }
  }

 private:
  Tensor core_identity(int64_t rank) const {
    return structure_ == Structure::dtsm ? torch::eye(rank) / 2 : torch::eye(rank);
  }

  Tensor folded(size_t i) const override {
    const Tensor &b = pairs_[i].b, &c = c_[i], &d = d_[i];
    switch (structure_) {
      case Structure::shim:
        return b.mm(c);
      case Structure::icfm:
        return b.mm(c.mm(c.t()));
      case Structure::ctcm:
        return b.mm(c.mm(d));
      case Structure::dtsm:
        return b.mm(c + d);
    }
    TORCH_INTERNAL_ASSERT(false);
  }

  Structure structure_;
  std::vector<Tensor> c_, d_;  // [rank, rank] of each pair
};

}  // namespace

AdapterMethod mtlora() {
  return layerwise<MtloraOptions, Mtlora>(
      {"mtlora", "LoRA with a trained transformation T between the two thin matrices.",
       "ΔW = (α/r)·B·T·A; shim T=C, icfm T=CCᵀ, ctcm T=CD, dtsm T=C+D",
       "Liang et al., arXiv:2403.07440"});
}

}  // namespace mtlora
