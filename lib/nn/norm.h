// Layer and root-mean-square normalisation, with what stands before them in a block: dropout and
// the residual.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <memory>
#include <utility>
#include <vector>

#include "lib/backend/decoder_ops.h"
#include "lib/backend/end_ops.h"
#include "lib/nn/block.h"
#include "lib/nn/pass.h"

namespace mtlora {

class LayerNormImpl : public torch::nn::Module {
 public:
  /// `ends`: the sublayer whose residual it closes, where it has a slot for a block.
  LayerNormImpl(int64_t width, double epsilon, Sublayer ends = Sublayer::none)
      : weight(register_parameter("weight", torch::ones({width}))),
        bias(register_parameter("bias", torch::zeros({width}))),
        epsilon_(epsilon),
        ends_(ends) {}

  /// LayerNorm(x), x [tokens, width]
  Tensor forward(const Tensor& x) { return backend::layer_norm(x, {weight, bias, epsilon_}); }
  /// dropout(LayerNorm(the sum of embeddings))
  Tensor of_rows(const std::vector<backend::Lookup>& lookups, const backend::Dropout& dropout) {
    return backend::embed(lookups, {weight, bias, epsilon_}, dropout);
  }
  /// LayerNorm(residual + dropout(x)), dropout(x) changed by the block where there is one.
  backend::Branches after_residual(const Tensor& x, const Tensor& residual,
                                   const backend::Dropout& dropout) {
    if (!block_) return backend::dropout_add_norm(x, residual, {weight, bias, epsilon_}, dropout);
    const Tensor changed = block_->forward(backend::dropout(x, dropout), residual,
                                           [this](const Tensor& sum) { return forward(sum); });
    return backend::dropout_add_norm(changed, residual, {weight, bias, epsilon_}, {});
  }

  /// sum = residual + dropout(x), and LayerNorm(sum): a pre-norm block goes on with both.
  backend::Normed before_block(const Tensor& x, const Tensor& residual,
                               const backend::Dropout& dropout) {
    return backend::add_layer_norm(x, residual, {weight, bias, epsilon_}, dropout);
  }

  Sublayer ends() const { return ends_; }
  /// Fills the slot. Whoever does registers the block where its tensors are to be named.
  void attach(std::shared_ptr<Block> block) { block_ = std::move(block); }
  bool has_block() const { return block_ != nullptr; }

  Tensor weight, bias;  ///< [width], always fp32

 private:
  double epsilon_;
  Sublayer ends_;
  std::shared_ptr<Block> block_;
};
TORCH_MODULE(LayerNorm);

/// x / sqrt(mean(x²) + ε) · weight. Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4.
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(int64_t width, double epsilon)
      : weight(register_parameter("weight", torch::ones({width}))), epsilon_(epsilon) {}

  Tensor forward(const Tensor& x) { return backend::rms_norm(x, weight, epsilon_); }
  /// sum = residual + dropout(x), and the norm of it.
  backend::Normed before_block(const Tensor& x, const Tensor& residual,
                               const backend::Dropout& dropout) {
    return backend::add_rms_norm(x, residual, weight, epsilon_, dropout);
  }

  Tensor weight;  ///< [width], always fp32

 private:
  double epsilon_;
};
TORCH_MODULE(RmsNorm);

}  // namespace mtlora
