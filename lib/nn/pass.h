// What flows through a model: a batch of un-padded sequences, and what one forward pass knows
// beside it.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <unordered_map>

#include "lib/backend/ops.h"
#include "lib/core/random.h"

namespace mtlora {

using torch::Tensor;

/// Sequences one after another, un-padded. Filler tokens (a run rounded up to a convenient length)
/// may follow the last sequence; no output that matters depends on them.
struct Batch {
  Tensor ids, positions, segments;  ///< [tokens] int64; positions count from 0 in each sequence
  backend::Packing packing;         ///< where each sequence lies
  Tensor first;                     ///< [sequences] int64: the first token of each
  Tensor rows;     ///< [tokens] int64: the identity of each token, the key of dropout
  Tensor labels;   ///< [sequences] class (int64) or value (float); undefined when unknown. Of a
                   ///< language model [targets] int64: the tokens that follow those at `targets`
  Tensor targets;  ///< [targets] int64: the tokens whose next one is to be learned; undefined for a
                   ///< classifier

  int64_t sequences() const { return first.size(0); }
};

/// The identity of a token for dropout: of its example's place in the order of the epoch, and its
/// place in it.
inline int64_t row_identity(int64_t example, int64_t token) {
  return static_cast<int64_t>(
      combine(static_cast<uint64_t>(example), static_cast<uint64_t>(token)));
}

class LinearImpl;

/// Is shown what linear layers give, where somebody looks for the first that is not finite.
class LayerWatch {
 public:
  virtual ~LayerWatch() = default;
  /// output [tokens, out]: the rows of the layer's weight from `begin` on.
  virtual void saw(const LinearImpl& layer, int64_t begin, const Tensor& output) = 0;
};

/// What adapters have computed for all layers together at the start of a pass, with its graph: a
/// product for each would be many small ones, each of which takes a device its time.
class Prepared {
 public:
  /// `value` is what an adapter makes of the trained tensor `of`, and perhaps of others.
  void set(const Tensor& of, const Tensor& value) { values_[of.unsafeGetTensorImpl()] = value; }
  /// Undefined: nothing was prepared.
  Tensor of(const Tensor& tensor) const {
    const auto found = values_.find(tensor.unsafeGetTensorImpl());
    return found == values_.end() ? Tensor() : found->second;
  }

 private:
  std::unordered_map<const c10::TensorImpl*, Tensor> values_;
};

/// One forward pass.
struct Pass {
  bool training = false;
  uint64_t key = 0;  ///< of the run's seed and the step
  Tensor rows;       ///< [tokens] int64, see Batch::rows; of the rows at hand
  /// Where defined, `key` is this number on the CUDA device instead: see backend::Dropout.
  Tensor step_key = {};
  LayerWatch* watch = nullptr;         ///< null: nobody looks
  const Prepared* prepared = nullptr;  ///< null: adapters compute what they need themselves

  /// Dropout with probability p at one site of the model; none in evaluation.
  backend::Dropout dropout(double p, uint64_t site) const {
    if (!training || p <= 0) return {};
    return {p, combine(key, site), rows, step_key, site};
  }
  /// The same pass for a selection of rows.
  Pass at(const Tensor& index) const {
    Pass other = *this;
    if (rows.defined()) other.rows = rows.index_select(0, index);
    return other;
  }
};

}  // namespace mtlora
