// Householder transformation adaptation: M = H_R D H_L + W_up W_down with D = diag(d) and H of a
// trained vector v, either I - v vᵀ (literal: as printed) or I - 2 v vᵀ / ‖v‖² (strict: a
// reflection).
//   form lora:    y = W x + b + M dropout(x)      form adapter:  y = M (W x + b)
// arXiv:2410.22952 (NeurIPS 2024), equations 6 and 7; no code was found. Not stated there and our
// choice: the starting values, the diagonal of a matrix that is not square, where dropout acts.
//
// No matrix is formed: with β = 1 or 2 / ‖v‖² and D rectangular,
//   H_R D H_L = D - β_L (D v_L) v_Lᵀ - β_R v_R (Dᵀ v_R)ᵀ + β_L β_R (v_R·D v_L) v_R v_Lᵀ
// is a diagonal and a change of rank 2, which goes with W_up W_down as one of rank 2 + D'.

#include <algorithm>
#include <cmath>

#include "lib/adapters/low_rank.h"
#include "lib/core/random.h"
#include "lib/nn/channels.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

struct HtaOptions {
  std::string form = "lora", householder = "literal";
  int64_t rank = 1;
  double dropout = 0.0;

  bool is_adapter() const { return form == "adapter"; }
  static std::vector<std::string> of_training() { return {"dropout"}; }
  void fields(Fields& f) {
    f("form", form,
      "lora: M is added to the weight; d and W_up start at 0, so nothing changes. adapter: the "
      "layer's output, its bias included, is multiplied by M (for the layers that end a sublayer); "
      "v_L = v_R and d = 1 at the start, so that M is the identity. The paper states neither "
      "start.",
      one_of({"lora", "adapter"}));
    f("householder", householder,
      "literal: H = I - v vᵀ as printed. strict: H = I - 2 v vᵀ / ‖v‖². Which one the authors ran "
      "is not known. v starts normal, at ‖v‖² = 2, where both are the same reflection (our "
      "choice).",
      one_of({"literal", "strict"}));
    f("rank", rank,
      "D', the rank of W_up W_down beside it; W_down starts uniform within 1/sqrt(in) (our "
      "choice). "
      "d has min(in, out) numbers, on the diagonal of a matrix that need not be square (our "
      "choice: "
      "the paper's counts suggest that it had none there).",
      at_least(0));
    f("dropout", dropout,
      "Dropout probability on what M adds to, or changes of, the layer's output. Where the paper "
      "has it is not stated.",
      at_least_zero_below(1));
  }
  int64_t parameters(int64_t in, int64_t out) const {
    const int64_t from = is_adapter() ? out : in;
    return from + out + std::min(from, out) + rank * (from + out);
  }
  Nature nature() const { return {.starts_exactly = !is_adapter(), .is_added = !is_adapter()}; }
};

// v with ‖v‖² = 2, never 0: there its gradient would be 0 as well.
Tensor reflection_vector(int64_t width, uint64_t key) {
  const Tensor v = gaussian(1, width, 1.0, key).flatten();
  return v * (std::sqrt(2.0) / v.norm());
}

// The first numbers of `v`, and zeros up to `width`.
Tensor cut_or_padded(const Tensor& v, int64_t width) {
  const int64_t kept = std::min(v.size(0), width);
  return at::constant_pad_nd(v.narrow(0, 0, kept), {0, width - kept});
}

// The trained tensors of one part: v_L [in], v_R [out], d [min(in, out)], W_down [D', in], W_up
// [out, D'], where in is out for the form adapter.
struct Factors {
  Part part;
  Tensor v_left, v_right, d, down, up;
};

// M as a diagonal and thin matrices: diag(d) + b a.
struct Thin {
  Tensor a, b;  // [2 + D', in], [out, 2 + D']
};

class Hta final : public Adapter {
 public:
  Hta(const HtaOptions& o, const AdaptedLayer& layer)
      : is_adapter_(o.is_adapter()),
        is_strict_(o.householder == "strict"),
        dropout_(register_module("dropout", DropoutSite(o.dropout))) {
    for (const Part& part : layer.parts) {
      torch::nn::Module& home = part.name.empty() ? *this : name_group(*this, part.name);
      const int64_t in = is_adapter_ ? part.size() : layer.shape.in;
      parts_.push_back(start(home, part, {in, o.rank, combine(layer.key, name_key(part.name))}));
    }
  }

  Tensor forward(const Tensor& x, const LinearMap& base, const Part& range,
                 const Pass& pass) override {
    return is_adapter_ ? multiplied(backend::linear(x, base.weight, base.bias), range, pass)
                       : added(x, base, range, pass);
  }

  Affine merged(const Affine& base) const override {
    const Affine out{base.weight.clone(), base.bias.defined() ? base.bias.clone() : Tensor()};
    for (const Factors& f : parts_) {
      const Thin thin = thin_of(f);
      const auto rows = [&](const Tensor& t) { return t.narrow(0, f.part.begin, f.part.size()); };
      const Tensor weight = rows(out.weight);
      if (!is_adapter_) {
        weight.add_(thin.b.mm(thin.a));
        weight.diagonal().add_(f.d);
        continue;
      }
      weight.copy_(f.d.unsqueeze(1) * weight + thin.b.mm(thin.a.mm(weight)));
      if (!out.bias.defined()) continue;
      const Tensor bias = rows(out.bias);
      bias.copy_(f.d * bias + thin.b.mv(thin.a.mv(bias)));
    }
    return out;
  }

  std::vector<FactorPair> factor_pairs() const override {
    std::vector<FactorPair> pairs;
    for (const Factors& f : parts_)
      if (f.down.defined()) pairs.push_back({f.down, f.up});
    return pairs;
  }

 private:
  struct Start {
    int64_t in, rank;
    uint64_t key;
  };

  Factors start(torch::nn::Module& home, const Part& part, const Start& s) const {
    const int64_t out = part.size(), shorter = std::min(s.in, out);
    const Tensor left = reflection_vector(s.in, combine(s.key, 1));
    const Tensor right = is_adapter_ ? left.clone() : reflection_vector(out, combine(s.key, 2));
    Factors f{part,
              home.register_parameter("v_L", left),
              home.register_parameter("v_R", right),
              home.register_parameter(
                  "d", is_adapter_ ? torch::ones({shorter}) : torch::zeros({shorter})),
              {},
              {}};
    if (s.rank == 0) return f;
    f.down = home.register_parameter("W_down", kaiming_uniform(s.rank, s.in, s.key));
    f.up = home.register_parameter("W_up", torch::zeros({out, s.rank}));
    return f;
  }

  // β of H = I - β v vᵀ
  Tensor beta(const Tensor& v) const { return is_strict_ ? 2 / v.dot(v) : torch::ones_like(v[0]); }

  Thin thin_of(const Factors& f) const {
    const int64_t in = f.v_left.size(0), out = f.v_right.size(0), shorter = f.d.size(0);
    const Tensor of_left = f.d * f.v_left.narrow(0, 0, shorter);    // D v_L, without its zeros
    const Tensor of_right = f.d * f.v_right.narrow(0, 0, shorter);  // Dᵀ v_R, the same
    const Tensor left = beta(f.v_left), right = beta(f.v_right);
    const Tensor both = left * right * of_left.dot(f.v_right.narrow(0, 0, shorter));
    std::vector<Tensor> a{f.v_left.unsqueeze(0), cut_or_padded(of_right, in).unsqueeze(0)};
    std::vector<Tensor> b{(both * f.v_right - left * cut_or_padded(of_left, out)).unsqueeze(1),
                          (-right * f.v_right).unsqueeze(1)};
    if (f.down.defined()) {
      a.push_back(f.down);
      b.push_back(f.up);
    }
    return {torch::cat(a, 0), torch::cat(b, 1)};
  }

  // W x + b + M dropout(x)
  Tensor added(const Tensor& x, const LinearMap& base, const Part& range, const Pass& pass) {
    backend::LowRank change;
    std::vector<backend::Diagonal> diagonals;
    int64_t rank = 0;
    for (const Factors& f : parts_) {
      if (!range.contains(f.part)) continue;
      const Thin thin = thin_of(f);
      const int64_t begin = f.part.begin - range.begin, r = thin.a.size(0);
      change.a.push_back(thin.a);
      change.parts.push_back({begin, begin + f.part.size(), rank, rank + r, thin.b});
      diagonals.push_back({begin, f.d});
      rank += r;
    }
    if (change.parts.empty()) return backend::linear(x, base.weight, base.bias);
    change.dropout = dropout_->at(pass);
    const Tensor y = backend::linear_low_rank(x, base.weight, base.bias, change);
    return backend::add_diagonals(y, backend::dropout(x, change.dropout), diagonals);
  }

  // y + (M - I) dropout(y), part by part.
  Tensor multiplied(const Tensor& y, const Part& range, const Pass& pass) {
    std::vector<Tensor> pieces;
    int64_t done = range.begin;
    const auto columns = [&](int64_t end) {
      const Tensor piece = y.narrow(1, done - range.begin, end - done);
      done = end;
      return piece;
    };
    for (const Factors& f : parts_) {
      if (!range.contains(f.part)) continue;
      if (f.part.begin > done) pieces.push_back(columns(f.part.begin));
      const Tensor own = columns(f.part.end);
      const Tensor seen = backend::dropout(own, dropout_->at(pass));
      const Thin thin = thin_of(f);
      const Tensor change = backend::linear(backend::linear(seen, thin.a, {}), thin.b, {});
      pieces.push_back(backend::add_diagonals(own + change, seen, {{0, f.d - 1}}));
    }
    if (done < range.end) pieces.push_back(columns(range.end));
    return pieces.size() == 1 ? pieces[0] : torch::cat(pieces, 1);
  }

  bool is_adapter_, is_strict_;
  DropoutSite dropout_;
  std::vector<Factors> parts_;
};

}  // namespace

AdapterMethod hta() {
  return layerwise<HtaOptions, Hta>(
      {.name = "hta",
       .summary = "A diagonal between two Householder transformations, and a thin product.",
       .equation = "M = H_R·diag(d)·H_L + W_up·W_down; ΔW = M, or W' = M·W and b' = M·b",
       .source = "arXiv:2410.22952"});
}

}  // namespace mtlora
