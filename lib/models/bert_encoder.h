// The encoder that BERT and RoBERTa share: post-norm transformer layers over un-padded tokens.
// Devlin et al. 2019 (arXiv:1810.04805), Vaswani et al. 2017 (arXiv:1706.03762) section 3; module
// names and numbers as Hugging Face transformers' BertModel and RobertaModel.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "lib/models/model_config.h"
#include "lib/models/post_norm.h"
#include "lib/nn/pass.h"

namespace mtlora {

struct BertConfig {
  int64_t vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size;
  int64_t max_position_embeddings, type_vocab_size;
  double hidden_dropout_prob, attention_probs_dropout_prob, layer_norm_eps;
  std::string hidden_act;
  int64_t first_position = 0;  ///< RoBERTa counts positions from padding_idx + 1
  bool has_pooler = true;

  /// `dropout`, where given, overrides both of the model's own probabilities. What a config.json
  /// leaves out is as in Hugging Face's BertConfig and RobertaConfig, which agree in it. Throws
  /// Error naming a variant that is not implemented.
  BertConfig(const ModelConfig& config, std::optional<double> dropout);
};

/// Sum of word, position and segment embeddings, normalised.
class BertEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit BertEmbeddingsImpl(const BertConfig& config);
  Tensor forward(const Batch& batch,
                 const Pass& pass);  ///< [tokens, width] in the type of the tables

  Tensor word, position, segment;  ///< tables [entries, width]

 private:
  int64_t first_position_;
  LayerNorm norm_;
  DropoutSite dropout_;
};
TORCH_MODULE(BertEmbeddings);

class BertLayerImpl : public torch::nn::Module {
 public:
  explicit BertLayerImpl(const BertConfig& config);
  backend::Branches forward(const backend::Branches& x, const Batch& batch,
                            const Pass& pass);  ///< [tokens, width] -> the same
  /// Only the rows of the first tokens: [tokens, width] -> [sequences, width]. What the others
  /// would become in the last layer nobody reads.
  Tensor forward_first(const backend::Branches& x, const Batch& batch, const Pass& pass);

 private:
  backend::AttentionShape attention_;
  Linear qkv_;
  DropoutSite attention_dropout_;
  PostNorm after_attention_;
};
TORCH_MODULE(BertLayer);

class BertEncoderImpl : public torch::nn::Module {
 public:
  explicit BertEncoderImpl(const BertConfig& config);

  /// All hidden states: of the embeddings, then of each layer, [tokens, width] each.
  std::vector<Tensor> hidden_states(const Batch& batch, const Pass& pass);
  /// The last hidden state of each sequence's first token, [sequences, width].
  Tensor first_tokens(const Batch& batch, const Pass& pass);
  /// BERT's pooler: tanh(dense(first token)), [sequences, width].
  Tensor pooled(const Batch& batch, const Pass& pass);

  const BertConfig& config() const { return config_; }

 private:
  BertConfig config_;
  BertEmbeddings embeddings_;
  std::vector<BertLayer> layers_;
  Linear pooler_{nullptr};
};
TORCH_MODULE(BertEncoder);

}  // namespace mtlora
