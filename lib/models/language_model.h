// A causal language model: each token's hidden state says which token comes next.
#pragma once

#include <torch/types.h>

#include <optional>

#include "lib/models/model.h"
#include "lib/nn/attend.h"
#include "lib/nn/pass.h"

namespace mtlora {

/// What a cache of keys and values needs to know.
struct DecoderShape {
  int64_t layers, heads, kv_heads, head;  ///< head: channels of one
  int64_t kv_width() const { return 2 * kv_heads * head; }
};

class LanguageModel : public Model {
 public:
  /// The last hidden states, final norm included: ids and positions [tokens] int64 ->
  /// [tokens, width] in the compute type.
  virtual Tensor hidden(const Tensor& ids, const Tensor& positions, Attend& attend,
                        const Pass& pass) = 0;
  /// The output embedding [vocab, width]: logits = hidden headᵀ. Often the input embedding itself.
  virtual const Tensor& head() const = 0;
  virtual DecoderShape shape() const = 0;

  /// head() as a product wants it.
  backend::Weight head_weight() const {
    return settled_head_ ? *settled_head_ : backend::Weight(head());
  }
  /// Says that a frozen head will not change any more; see Linear::settle().
  void settle_head() {
    settled_head_.reset();
    if (!head().requires_grad()) settled_head_.emplace(backend::PackedWeight(head()));
  }
  /// hidden [rows, width] -> [rows, vocab] in the compute type
  Tensor logits(const Tensor& hidden) const { return backend::linear(hidden, head_weight(), {}); }

 private:
  std::optional<backend::Weight> settled_head_;
};

}  // namespace mtlora
