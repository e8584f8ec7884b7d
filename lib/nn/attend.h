// Where the attention of a decoder looks. The models call it with each layer's queries, keys and
// values and do not know whether the keys are those of the batch at hand or of a cache.
#pragma once

#include <torch/types.h>

#include <utility>

#include "lib/backend/decoder_ops.h"
#include "lib/nn/pass.h"

namespace mtlora {

class Attend {
 public:
  virtual ~Attend() = default;
  /// qkv [tokens, (heads + 2 · kv_heads) · head] of one layer, rotated where the model rotates ->
  /// [tokens, heads · head]
  virtual Tensor operator()(size_t layer, const Tensor& qkv, const backend::CausalShape& shape,
                            const backend::Dropout& dropout) = 0;
};

/// Each token looks at the tokens of its own sequence up to itself.
class AttendWithin final : public Attend {
 public:
  explicit AttendWithin(backend::Packing packing) : packing_(std::move(packing)) {}
  Tensor operator()(size_t, const Tensor& qkv, const backend::CausalShape& shape,
                    const backend::Dropout& dropout) override {
    return backend::causal_attention(qkv, packing_, shape, dropout);
  }

 private:
  backend::Packing packing_;
};

}  // namespace mtlora
