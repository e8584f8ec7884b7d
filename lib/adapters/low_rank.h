// What the methods whose change is a product of thin matrices share: y = x Wᵀ + b + dropout(x) Aᵀ
// (s B T)ᵀ. Each adapted part has its own pair; T is the identity for LoRA. `B T` folds once a pass
// into one [out, rank] matrix, so every structure costs what LoRA costs.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <vector>

#include "lib/adapters/registry.h"
#include "lib/nn/dropout.h"

namespace mtlora {

class LowRankAdapter : public Adapter {
 public:
  Tensor forward(const Tensor& x, const LinearMap& base, const Part& range,
                 const Pass& pass) override;
  Affine merged(const Affine& base) const override;
  std::vector<FactorPair> factor_pairs() const override;
  std::vector<LowRankForm> low_rank_form() const override;

 protected:
  struct Settings {
    double dropout = 0;     ///< on the adapter's input
    bool has_bias = false;  ///< train a change of the adapted parts' bias as well
  };
  LowRankAdapter(const Settings& settings, const AdaptedLayer& layer);

  /// The change of one part. Trained are a [rank, in], b [out, rank], and bias [out] where it is
  /// defined; methods set a, b and scale.
  struct Pair {
    Part part;
    torch::nn::Module* home;  ///< where the part's tensors are registered
    Tensor a, b, bias;
    double scale = 1;  ///< s: what the change is multiplied by
  };
  /// Registers `name` among a pair's tensors.
  static Tensor add(Pair& pair, const char* name, const Tensor& value) {
    return pair.home->register_parameter(name, value);
  }
  /// B T of a pair, [out, rank], without the scale.
  virtual Tensor folded(size_t pair) const = 0;
  /// What the input meets first, [rank, in]: A.
  virtual Tensor down(size_t pair) const { return pairs_[pair].a; }
  /// Those of some pairs, one after the other, in one tensor or in several.
  virtual std::vector<Tensor> downs(const std::vector<size_t>& pairs, const Pass& pass) const;

  /// The change of the pairs in `range`, without dropout; no parts where there are none. B T is
  /// what was prepared of B, or folded. Its scale is that of the first pair; where another has one
  /// of its own, B T makes up for it.
  backend::LowRank change_in(const Part& range, const Pass& pass) const;
  /// That of the adapter's input.
  backend::Dropout input_dropout(const Pass& pass) const { return dropout_->at(pass); }

  std::vector<Pair> pairs_;

 private:
  Settings settings_;
  DropoutSite dropout_;
};

/// Starting values [rows, columns], a function of the key, which a method makes of the layer's and
/// the part's name (and the tensor's, where several are drawn): no order of building counts.
/// Kaiming-uniform with a = √5: U(±1/√columns).
Tensor kaiming_uniform(int64_t rows, int64_t columns, uint64_t key);
Tensor gaussian(int64_t rows, int64_t columns, double deviation, uint64_t key);

}  // namespace mtlora
