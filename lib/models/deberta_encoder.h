// The encoder of DeBERTa-v2 and -v3: post-norm layers with disentangled attention over un-padded
// tokens. He et al. 2021, arXiv:2006.03654 and arXiv:2111.09543; module names and numbers as
// Hugging Face transformers' DebertaV2Model.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <vector>

#include "lib/models/deberta_attention.h"
#include "lib/models/post_norm.h"

namespace mtlora {

/// Words, with positions and segments where the model has them, projected where they are of another
/// width, normalised.
class DebertaEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit DebertaEmbeddingsImpl(const DebertaConfig& config);
  Tensor forward(const Batch& batch,
                 const Pass& pass);  ///< [tokens, width] in the type of the tables

 private:
  Tensor word_, position_, segment_;  // tables [entries, embedding size]
  Linear projection_{nullptr};
  LayerNorm norm_;
  DropoutSite dropout_;
};
TORCH_MODULE(DebertaEmbeddings);

/// What stands beside the first layer of DeBERTa-v2: y = norm(residual + act(dropout(conv(x)))),
/// the convolution going over the neighbours in a sequence, zeros beyond its ends.
class DebertaConvolutionImpl : public torch::nn::Module {
 public:
  explicit DebertaConvolutionImpl(const DebertaConfig& config);
  /// x and residual [tokens, width] -> the same
  Tensor forward(const Tensor& x, const Tensor& residual, const Batch& batch, const Pass& pass);

 private:
  int64_t taps_;
  Activation activation_;
  Tensor weight_, bias_;  // [out, in, taps], [out]
  LayerNorm norm_;
  DropoutSite dropout_;
};
TORCH_MODULE(DebertaConvolution);

class DebertaLayerImpl : public torch::nn::Module {
 public:
  explicit DebertaLayerImpl(const DebertaConfig& config);
  backend::Branches forward(const backend::Branches& x, const RelativeTable& table,
                            const Batch& batch, const Pass& pass);  ///< [tokens, width] -> the same
  /// Only the rows of the first tokens: [tokens, width] -> [sequences, width].
  Tensor forward_first(const backend::Branches& x, const RelativeTable& table, const Batch& batch,
                       const Pass& pass);

 private:
  DebertaSelfAttention self_;
  PostNorm after_attention_;
};
TORCH_MODULE(DebertaLayer);

class DebertaEncoderImpl : public torch::nn::Module {
 public:
  explicit DebertaEncoderImpl(const DebertaConfig& config);

  /// All hidden states: of the embeddings, then of each layer, [tokens, width] each.
  std::vector<Tensor> hidden_states(const Batch& batch, const Pass& pass);
  /// The last hidden state of each sequence's first token, [sequences, width].
  Tensor first_tokens(const Batch& batch, const Pass& pass);

  const DebertaConfig& config() const { return config_; }

 private:
  backend::Branches layer(size_t i, const backend::Branches& x, const RelativeTable& table,
                          const Batch& batch, const Pass& pass);

  DebertaConfig config_;
  DebertaEmbeddings embeddings_;
  RelativeEmbeddings positions_;
  std::vector<DebertaLayer> layers_;
  DebertaConvolution convolution_{nullptr};
};
TORCH_MODULE(DebertaEncoder);

}  // namespace mtlora
