// LoRTA: one tensor in CP form for the whole model, whose slices are the changes of the attentions'
// projections: with A [d, r], B [r, d/H], C_h [H, r], C_l [layers, r], C_m [4, r] shared by all,
//   G(l, m, h) = A diag(C_h[h] ⊙ C_m[m] ⊙ C_l[l]) B,   F(l, m) = [G(l, m, 1) | … | G(l, m, H)]
//   ΔW of q, k, v = s Fᵀ (heads on the output), of o = s F (heads on the input)
// arXiv:2410.04060. Start as the authors' code: A uniform within 1/√r, C within √(6/r), B 0. That
// code multiplies x by Fᵀ for all four, which puts the heads of q, k and v on the input:
// `official`.
//
// A slice is of rank r: with w_h the product of the three rows, Fᵀ = U Aᵀ, rows h of U [d, r] being
// (diag(w_h) B)ᵀ. So each projection costs what LoRA costs, and is written as one.

#include <algorithm>
#include <cmath>
#include <set>

#include "lib/adapters/low_rank.h"
#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

struct LortaOptions {
  int64_t rank = 8;
  double alpha = 16.0, dropout = 0.0, init_scale = 0.0;
  bool rslora = false, official = false;

  static std::vector<std::string> of_training() { return {"dropout", "init_scale"}; }
  void fields(Fields& f) {
    f("rank", rank, "Rank of the tensor, one for the whole model.", at_least(1));
    f("alpha", alpha, "The changes are scaled by alpha / rank.", positive());
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
    f("rslora", rslora, "Scale by alpha / sqrt(rank) instead.");
    f("init_scale", init_scale,
      "The factors of heads, layers and matrices start uniform within "
      "sqrt(6 / ((1 + 5 init_scale^2) rank)).",
      not_negative());
    f("official", official,
      "Heads on the input of query, key and value too, as the authors' code computes.");
  }
  double scale() const {
    const auto r = static_cast<double>(rank);
    return rslora ? alpha / std::sqrt(r) : alpha / r;
  }
  Nature nature() const { return {.only_attention = true}; }
  /// A layer adds nothing of its own.
  int64_t parameters(int64_t, int64_t) const { return 0; }
};

// What the whole model shares.
struct Factors final : torch::nn::Module {
  Factors(const LortaOptions& o, int64_t width, int64_t heads, int64_t layers, uint64_t key) {
    const double within =
        std::sqrt(6 / ((1 + 5 * o.init_scale * o.init_scale) * static_cast<double>(o.rank)));
    const auto uniform = [&](const char* name, int64_t rows, double times) {
      return register_parameter(
          name, times * kaiming_uniform(rows, o.rank, combine(key, name_key(name))));
    };
    const double of_cores = within * std::sqrt(static_cast<double>(o.rank));
    a = uniform("A", width, 1);
    b = register_parameter("B", torch::zeros({o.rank, width / heads}));
    c_h = uniform("C_h", heads, of_cores);
    c_l = uniform("C_l", layers, of_cores);
    c_m = uniform("C_m", 4, of_cores);
  }
  Tensor a, b, c_h, c_l, c_m;
};

// Which of query, key, value and output (0 to 3) a layer of an attention is, by its name.
int64_t matrix_of(const AdaptedLayer& layer, const Part& part) {
  const std::string path = layer.path_of(part), name = path.substr(path.rfind('.') + 1);
  const std::vector<std::vector<std::string>> names{{"query", "query_proj", "q_proj"},
                                                    {"key", "key_proj", "k_proj"},
                                                    {"value", "value_proj", "v_proj"},
                                                    {"dense", "o_proj", "c_proj", "out_proj"}};
  if (layer.shape.heads > 0)
    for (size_t m = 0; m < names.size(); ++m)
      if (std::find(names[m].begin(), names[m].end(), name) != names[m].end())
        return static_cast<int64_t>(m);
  fail(
      "/adapter/targets: {}: lorta changes the query, key, value and output projections of "
      "attentions, and this is none of them",
      path);
}

void check_square(const AdaptedLayer& layer, const Part& part, int64_t width, int64_t heads) {
  const std::string path = layer.path_of(part);
  if (layer.shape.in != part.size())
    fail(
        "/adapter/targets: {}: lorta's tensor is one of square projections, and this one is "
        "[{}, {}]{}",
        path, part.size(), layer.shape.in,
        part.size() < layer.shape.in
            ? "; where several heads share a key and a value, leave these out"
            : "");
  if (part.size() != width || layer.shape.heads != heads)
    fail(
        "/adapter/targets: {}: lorta's tensor needs one width and one number of heads; here are {} "
        "and {}, before it {} and {}",
        path, part.size(), layer.shape.heads, width, heads);
  if (heads == 0 || width % heads != 0)
    fail("/adapter/targets: {}: its width {} is not divided by its {} heads", path, width, heads);
}

class Lorta final : public LowRankAdapter {
 public:
  Lorta(const LortaOptions& o, const AdaptedLayer& layer, std::shared_ptr<Factors> factors,
        int64_t depth)
      : LowRankAdapter({o.dropout}, layer), factors_(std::move(factors)), depth_(depth) {
    for (Pair& pair : pairs_) {
      pair.scale = o.scale();
      const int64_t matrix = matrix_of(layer, pair.part);
      slices_.push_back({matrix, matrix == 3 || o.official});
    }
  }

 private:
  // The slice of one part.
  struct Slice {
    int64_t matrix;
    bool heads_on_input;
  };

  // diag(w_h) B of every head: [heads, rank, d / heads]
  Tensor of_heads(const Slice& slice) const {
    const Tensor w = factors_->c_h * factors_->c_m[slice.matrix] * factors_->c_l[depth_];
    return w.unsqueeze(2) * factors_->b.unsqueeze(0);
  }
  Tensor down(size_t i) const override {
    if (!slices_[i].heads_on_input) return factors_->a.t();
    const Tensor heads = of_heads(slices_[i]);
    return heads.permute({1, 0, 2}).reshape({heads.size(1), -1});
  }
  Tensor folded(size_t i) const override {
    if (slices_[i].heads_on_input) return factors_->a;
    const Tensor heads = of_heads(slices_[i]);
    return heads.permute({0, 2, 1}).reshape({-1, heads.size(1)});
  }

  std::shared_ptr<Factors> factors_;  // not a child: they are registered once, with the model
  int64_t depth_;
  std::vector<Slice> slices_;
};

class LortaSet final : public AdapterSet {
 public:
  explicit LortaSet(LortaOptions parsed) : options_(std::move(parsed)) {}

  void survey(const std::vector<AdaptedLayer>& all) override {
    const AdaptedLayer& first = all.front();
    for (const AdaptedLayer& layer : all) {
      depths_.insert(layer.depth());
      for (const Part& part : layer.parts) {
        matrix_of(layer, part);
        check_square(layer, part, first.shape.in, first.shape.heads);
      }
    }
    factors_ = std::make_shared<Factors>(options_, first.shape.in, first.shape.heads,
                                         static_cast<int64_t>(depths_.size()), first.key);
  }
  std::shared_ptr<Adapter> make(const AdaptedLayer& layer) override {
    const auto place = std::distance(depths_.begin(), depths_.find(layer.depth()));
    return std::make_shared<Lorta>(options_, layer, factors_, place);
  }
  std::shared_ptr<torch::nn::Module> shared() override { return factors_; }

 private:
  LortaOptions options_;
  std::set<int64_t> depths_;
  std::shared_ptr<Factors> factors_;
};

}  // namespace

AdapterMethod lorta() {
  return layerwise<LortaOptions, Lorta, LortaSet>(
      {.name = "lorta",
       .summary = "Slices of one low-rank tensor that all attentions of the model share: "
                  "r(d + d/H + H + layers + 4) parameters for the whole model, none for a layer.",
       .equation = "ΔW = (α/r)·[A·diag(C_h⊙C_m⊙C_l)·B of every head], transposed for q, k and v",
       .source = "arXiv:2410.04060",
       .is_low_rank = true});
}

}  // namespace mtlora
