// MTLoRA: y = W x + b + (alpha / rank) B T A dropout(x), with W and b frozen and T [rank, rank] of
// one of four structures: SHIM T = C, ICFM T = C Cᵀ, CTCM T = C D, DTSM T = C + D. Liang et al.,
// arXiv:2403.07440; Neural Networks 199:108642. Forms and the initialisation `repo` as in the
// authors' code YaoLiang2023/MTLoRA; `identity` follows its README's tip, where the deviation of A
// (0.02) and DTSM's split (C = D = I/2) are not stated and are our choice.
//
// Where several adapted parts are rows of one layer of the checkpoint (GPT-2's c_attn) they share
// one core over all their coordinates, as the authors' MergedLinear: with n the sum of their ranks
// A is [n, in], T [n, n], and part i changes by (alpha / rank) B_i (T A)_i, its own rows of T A.

#include <map>
#include <utility>

#include "lib/adapters/low_rank.h"
#include "lib/adapters/ranks.h"
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

struct MtloraOptions : RankOptions {
  std::string structure = "icfm", init = "repo", core = "layer";
  double dropout = 0.0;

  static std::vector<std::string> of_training() { return {"dropout", "init"}; }
  void fields(Fields& f) {
    f("structure", structure, "Form of T: shim is C, icfm is C Cᵀ, ctcm is C D, dtsm is C + D.",
      one_of({"shim", "icfm", "ctcm", "dtsm"}));
    RankOptions::fields(f);
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
    f("init", init,
      "repo: A, C and D uniform within 1/sqrt(columns), as the authors' code. identity: T starts "
      "as the identity, A "
      "Gaussian with deviation 0.02 (the README's tip; the deviation, and C = D = I/2 for dtsm, "
      "are not stated there). "
      "B starts at 0.",
      one_of({"repo", "identity"}));
    f("core", core,
      "layer: one core for all adapted parts of a layer of the checkpoint, so GPT-2's c_attn has "
      "one over query, key and value, as the authors' code. part: one core for each of them.",
      one_of({"layer", "part"}));
  }
  int64_t parameters(int64_t in, int64_t out) const {
    return rank * (in + out) + (has_d(structure_of(structure)) ? 2 : 1) * rank * rank;
  }
};

// What T is made of, and A, with n coordinates: A [n, in], C and D [n, n]; or [layers, …] of each.
struct Core {
  Tensor a, c, d;
};

// T of a core.
Tensor square_of(Structure structure, const Core& core) {
  switch (structure) {
    case Structure::shim:
      return core.c;
    case Structure::icfm:
      return core.c.matmul(core.c.transpose(-2, -1));
    case Structure::ctcm:
      return core.c.matmul(core.d);
    case Structure::dtsm:
      return core.c + core.d;
  }
  TORCH_INTERNAL_ASSERT(false);
}

class Mtlora final : public LowRankAdapter {
 public:
  Mtlora(const MtloraOptions& o, const AdaptedLayer& layer)
      : LowRankAdapter({o.dropout}, layer),
        structure_(structure_of(o.structure)),
        is_identity_(o.init == "identity"),
        is_shared_(o.core == "layer" && layer.parts_are == PartsAre::rows && pairs_.size() > 1) {
    for (Pair& pair : pairs_) {
      const RankAndAlpha own = o.of(layer, pair.part);
      rows_.push_back({rows_.empty() ? 0 : rows_.back().end(), own.rank});
      pair.scale = own.scale();
    }
    if (is_shared_)
      cores_.push_back(make_core(*this, rows_.back().end(), layer.shape.in, layer.key));
    for (size_t i = 0; i < pairs_.size(); ++i) {
      Pair& pair = pairs_[i];
      const uint64_t key = combine(layer.key, name_key(pair.part.name));
      if (!is_shared_) {
        cores_.push_back(make_core(*pair.home, rows_[i].count, layer.shape.in, key));
        pair.a = cores_.back().a;
      }
      pair.b = add(pair, "B", torch::zeros({pair.part.size(), rows_[i].count}));
    }
  }

  // A product with T that the layer needs: `thin` T, or T `thin`.
  struct Product {
    Tensor thin;  // B [out, rank] of a pair, or A [n, in] of a shared core
    const Core& core;
  };
  std::vector<Product> products() const {
    if (is_shared_) return {{cores_.front().a, cores_.front()}};
    std::vector<Product> all;
    for (size_t i = 0; i < pairs_.size(); ++i) all.push_back({pairs_[i].b, cores_[i]});
    return all;
  }
  bool is_shared() const { return is_shared_; }

 private:
  Core make_core(torch::nn::Module& home, int64_t n, int64_t in, uint64_t key) const {
    const auto square = [&](const char* name, uint64_t which) {
      return home.register_parameter(
          name, is_identity_ ? core_identity(n) : kaiming_uniform(n, n, combine(key, which)));
    };
    Core core;
    core.a = home.register_parameter(
        "A", is_identity_ ? gaussian(n, in, 0.02, key) : kaiming_uniform(n, in, key));
    core.c = square("C", 1);
    if (has_d(structure_)) core.d = square("D", 2);
    return core;
  }
  Tensor core_identity(int64_t rank) const {
    return structure_ == Structure::dtsm ? torch::eye(rank) / 2 : torch::eye(rank);
  }

  // One core a part: folded into B, the smaller product. A shared one: rows of T A.
  Tensor folded(size_t i) const override {
    return is_shared_ ? pairs_[i].b : pairs_[i].b.mm(square_of(structure_, cores_[i]));
  }
  Tensor down(size_t i) const override {
    if (!is_shared_) return pairs_[i].a;
    const Core& core = cores_.front();
    return rows_[i].of(square_of(structure_, core)).mm(core.a);
  }
  std::vector<Tensor> downs(const std::vector<size_t>& pairs, const Pass& pass) const override {
    if (!is_shared_) return LowRankAdapter::downs(pairs, pass);
    const Core& core = cores_.front();
    Tensor all = pass.prepared ? pass.prepared->of(core.a) : Tensor();
    if (!all.defined()) all = square_of(structure_, core).mm(core.a);
    if (pairs.size() == pairs_.size()) return {all};
    std::vector<Tensor> some;
    for (const size_t i : pairs) some.push_back(rows_[i].of(all));
    return some;
  }

  // Those of a pair among the coordinates of all; there are as many as its rank.
  struct Rows {
    int64_t begin, count;
    int64_t end() const { return begin + count; }
    Tensor of(const Tensor& all) const { return all.narrow(0, begin, count); }
  };

  Structure structure_;
  bool is_identity_;
  bool is_shared_;
  std::vector<Rows> rows_;   // of each pair
  std::vector<Core> cores_;  // of each pair, or one for all
};

class MtloraSet final : public Layerwise<MtloraOptions, Mtlora> {
 public:
  using Layerwise::Layerwise;

  // The products of all layers whose factors are of one shape, as one.
  Prepared prepare() const override {
    std::map<std::pair<bool, std::vector<int64_t>>, std::vector<Mtlora::Product>> alike;
    for (const auto& layer : layers)
      for (const Mtlora::Product& p : layer->products())
        alike[{layer->is_shared(), p.thin.sizes().vec()}].push_back(p);
    Prepared made;
    for (const auto& [what, products] : alike) {
      const bool from_left = what.first;
      const Core cores = stacked(products);
      const Tensor t = square_of(structure_of(options.structure), cores);
      const Tensor thin = stack_of(products, [](const Mtlora::Product& p) { return p.thin; });
      const std::vector<Tensor> each = (from_left ? t.bmm(thin) : thin.bmm(t)).unbind();
      for (size_t i = 0; i < each.size(); ++i) made.set(products[i].thin, each[i]);
    }
    return made;
  }

 private:
  template <class Which>
  static Tensor stack_of(const std::vector<Mtlora::Product>& products, Which which) {
    std::vector<Tensor> all;
    for (const Mtlora::Product& p : products) all.push_back(which(p));
    return torch::stack(all);
  }
  Core stacked(const std::vector<Mtlora::Product>& products) const {
    Core all;
    all.c = stack_of(products, [](const Mtlora::Product& p) { return p.core.c; });
    if (has_d(structure_of(options.structure)))
      all.d = stack_of(products, [](const Mtlora::Product& p) { return p.core.d; });
    return all;
  }
};

}  // namespace

AdapterMethod mtlora() {
  return layerwise<MtloraOptions, Mtlora, MtloraSet>(
      {.name = "mtlora",
       .summary = "LoRA with a trained transformation T between the two thin matrices.",
       .equation = "ΔW = (α/r)·B·T·A; shim T=C, icfm T=CCᵀ, ctcm T=CD, dtsm T=C+D",
       .source = "Liang et al., arXiv:2403.07440",
       .is_low_rank = true});
}

}  // namespace mtlora
