#include "lib/adapters/low_rank.h"

#include <unistd.h>

#include <cmath>

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

// Some machines promise more memory than they have, and end whoever fills it.
void require_room(int64_t rows, int64_t columns) {
  const double gib = 1024.0 * 1024 * 1024;
  const double has = static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
                     static_cast<double>(sysconf(_SC_PAGESIZE)) / gib;
  const double needs =
      sizeof(float) * static_cast<double>(rows) * static_cast<double>(columns) / gib;
  if (needs > has)
    fail(
        "out of memory: a tensor of an adapter, [{}, {}], needs {:.0f} GiB, and this machine has "
        "{:.0f}; a smaller rank (adapter.method) needs less",
        rows, columns, needs, has);
}

template <class Draw>
Tensor drawn(int64_t rows, int64_t columns, uint64_t key, Draw draw) {
  require_room(rows, columns);
  Tensor values = torch::empty({rows, columns});
  Random random(key);
  float* at = values.data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) at[i] = static_cast<float>(draw(random));
  return values;
}

}  // namespace

Tensor kaiming_uniform(int64_t rows, int64_t columns, uint64_t key) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(columns));
  return drawn(rows, columns, key, [=](Random& r) { return bound * (2 * r.uniform() - 1); });
}

Tensor gaussian(int64_t rows, int64_t columns, double deviation, uint64_t key) {
  return drawn(rows, columns, key, [=](Random& r) { return deviation * r.normal(); });
}

LowRankAdapter::LowRankAdapter(const Settings& settings, const AdaptedLayer& layer)
    : settings_(settings), dropout_(register_module("dropout", DropoutSite(settings.dropout))) {
  settings_.has_bias = settings.has_bias && layer.shape.has_bias;
  for (const Part& part : layer.parts) {
    torch::nn::Module* home = part.name.empty() ? this : &name_group(*this, part.name);
    pairs_.push_back({part, home, {}, {}, {}, 1});
    if (settings_.has_bias)
      pairs_.back().bias = add(pairs_.back(), "bias_change", torch::zeros({part.size()}));
  }
}

std::vector<Tensor> LowRankAdapter::downs(const std::vector<size_t>& pairs, const Pass&) const {
  std::vector<Tensor> all;
  for (const size_t i : pairs) all.push_back(down(i));
  return all;
}

backend::LowRank LowRankAdapter::change_in(const Part& range, const Pass& pass) const {
  backend::LowRank change;
  std::vector<size_t> inside;
  int64_t rank = 0;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const Part& part = pairs_[i].part;
    if (!range.contains(part)) continue;
    if (inside.empty()) change.scale = pairs_[i].scale;
    inside.push_back(i);
    Tensor b = pass.prepared ? pass.prepared->of(pairs_[i].b) : Tensor();
    if (!b.defined()) b = folded(i);
    if (pairs_[i].scale != change.scale) b = b * (pairs_[i].scale / change.scale);
    change.parts.push_back(
        {part.begin - range.begin, part.end - range.begin, rank, rank + b.size(1), b});
    rank += b.size(1);
  }
  change.a = downs(inside, pass);
  return change;
}

Tensor LowRankAdapter::forward(const Tensor& x, const LinearMap& base, const Part& range,
                               const Pass& pass) {
  backend::LowRank update = change_in(range, pass);
  if (update.parts.empty()) return backend::linear(x, base.weight, base.bias);
  update.dropout = input_dropout(pass);
  Tensor y = backend::linear_low_rank(x, base.weight, base.bias, update);
  if (!settings_.has_bias) return y;
  Tensor change = torch::zeros({range.size()}, pairs_[0].bias.options());
  for (const Pair& pair : pairs_)
    if (range.contains(pair.part))
      change = change.slice_scatter(pair.bias, 0, pair.part.begin - range.begin,
                                    pair.part.end - range.begin);
  return y + change.to(y.scalar_type());
}

Affine LowRankAdapter::merged(const Affine& base) const {
  Affine out{base.weight.clone(), base.bias.defined() ? base.bias.clone() : Tensor()};
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const Pair& pair = pairs_[i];
    const Tensor change = pair.scale * folded(i).mm(down(i));
    out.weight.narrow(0, pair.part.begin, pair.part.size()) += change.to(base.weight.scalar_type());
    if (pair.bias.defined()) out.bias.narrow(0, pair.part.begin, pair.part.size()) += pair.bias;
  }
  return out;
}

std::vector<FactorPair> LowRankAdapter::factor_pairs() const {
  std::vector<FactorPair> all;
  for (const Pair& pair : pairs_)
    if (pair.a.defined() && pair.b.defined()) all.push_back({pair.a, pair.b});
  return all;
}

std::vector<LowRankForm> LowRankAdapter::low_rank_form() const {
  std::vector<LowRankForm> all;
  for (size_t i = 0; i < pairs_.size(); ++i)
    all.push_back({pairs_[i].part, down(i), folded(i), pairs_[i].scale, pairs_[i].bias, {}});
  return all;
}

}  // namespace mtlora
