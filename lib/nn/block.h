// A trainable block between a sublayer's output and its residual: the second kind of slot.
// Post-norm layers end with LayerNorm(residual + dropout(x)); a block changes dropout(x).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <functional>

namespace mtlora {

/// What a norm at the end of a sublayer closes. `none`: it ends no sublayer and has no slot.
enum class Sublayer { none, attention, feed_forward };

class Block : public torch::nn::Module {
 public:
  using Norm = std::function<torch::Tensor(const torch::Tensor&)>;

  /// hidden [tokens, width], the sublayer's output after its dropout; residual [tokens, width],
  /// what it will be added to; `norm` is the LayerNorm that will follow. Returns what takes the
  /// place of hidden.
  virtual torch::Tensor forward(const torch::Tensor& hidden, const torch::Tensor& residual,
                                const Norm& norm) = 0;
};

}  // namespace mtlora
