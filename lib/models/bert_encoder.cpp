#include "lib/models/bert_encoder.h"

#include <cmath>

#include "lib/core/error.h"
#include "lib/nn/names.h"

namespace mtlora {

BertConfig::BertConfig(const ModelConfig& config, std::optional<double> dropout)
    : vocab_size(config.integer("vocab_size")),
      hidden_size(config.integer("hidden_size")),
      num_hidden_layers(config.integer("num_hidden_layers")),
      num_attention_heads(config.integer("num_attention_heads")),
      intermediate_size(config.integer("intermediate_size")),
      max_position_embeddings(config.integer("max_position_embeddings")),
      type_vocab_size(config.integer_or("type_vocab_size", 2)),
      hidden_dropout_prob(dropout.value_or(config.dropout_or("hidden_dropout_prob", 0.1))),
      attention_probs_dropout_prob(
          dropout.value_or(config.dropout_or("attention_probs_dropout_prob", 0.1))),
      layer_norm_eps(config.epsilon_or("layer_norm_eps", 1e-12)),
      hidden_act(config.text_or("hidden_act", "gelu")) {
  activation_of(hidden_act, config.origin() + ": \"hidden_act\"");  // refused here, with its file
  config.require_off("is_decoder");
  config.require_off("add_cross_attention");
  config.require("position_embedding_type", "absolute");
  if (num_attention_heads == 0 || hidden_size % num_attention_heads != 0 || num_hidden_layers == 0)
    fail("{}: {} layers of width {} with {} heads cannot be built", config.origin(),
         num_hidden_layers, hidden_size, num_attention_heads);
}

BertEmbeddingsImpl::BertEmbeddingsImpl(const BertConfig& c)
    : first_position_(c.first_position),
      norm_(c.hidden_size, c.layer_norm_eps),
      dropout_(c.hidden_dropout_prob) {
  const auto table = [&](const char* name, int64_t entries) {
    return name_group(*this, name)
        .register_parameter("weight", torch::empty({entries, c.hidden_size}));
  };
  word = table("word_embeddings", c.vocab_size);
  position = table("position_embeddings", c.max_position_embeddings);
  segment = table("token_type_embeddings", c.type_vocab_size);
  register_module("LayerNorm", norm_);
  register_module("dropout", dropout_);
}

Tensor BertEmbeddingsImpl::forward(const Batch& batch, const Pass& pass) {
  return norm_->of_rows(
      {{word, batch.ids}, {position, batch.positions, first_position_}, {segment, batch.segments}},
      dropout_->at(pass));
}

BertLayerImpl::BertLayerImpl(const BertConfig& c)
    : attention_{c.num_attention_heads,
                 1.0 / std::sqrt(static_cast<double>(c.hidden_size / c.num_attention_heads))},
      qkv_(
          LinearShape{
              .in = c.hidden_size, .out = 3 * c.hidden_size, .heads = c.num_attention_heads},
          std::vector<std::string>{"query", "key", "value"}),
      attention_dropout_(c.attention_probs_dropout_prob),
      after_attention_({c.hidden_size, c.num_attention_heads, c.intermediate_size, c.layer_norm_eps,
                        c.hidden_dropout_prob, activation_of(c.hidden_act, "hidden_act")}) {
  torch::nn::Module& attention = name_group(*this, "attention");
  torch::nn::Module& self = name_group(attention, "self");
  self.register_module("qkv", qkv_);
  self.register_module("dropout", attention_dropout_);
  after_attention_.register_in(*this, attention);
}

backend::Branches BertLayerImpl::forward(const backend::Branches& x, const Batch& batch,
                                         const Pass& pass) {
  const Tensor context = backend::self_attention(qkv_(x.into, pass), batch.packing, attention_,
                                                 attention_dropout_->at(pass));
  return after_attention_(context, x.around, pass);
}

Tensor BertLayerImpl::forward_first(const backend::Branches& x, const Batch& batch,
                                    const Pass& pass) {
  const Pass of_first = pass.at(batch.first);
  const Tensor first = x.around.index_select(0, batch.first);
  const Tensor q = qkv_->forward_parts(first, 0, 1, of_first);
  const Tensor kv = qkv_->forward_parts(x.into, 1, 3, pass);
  const Tensor context =
      backend::pooled_attention(q, kv, batch.packing, attention_, attention_dropout_->at(of_first));
  return after_attention_(context, first, of_first).into;
}

BertEncoderImpl::BertEncoderImpl(const BertConfig& config)
    : config_(config), embeddings_(register_module("embeddings", BertEmbeddings(config))) {
  torch::nn::Module& layers = name_group(name_group(*this, "encoder"), "layer");
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(BertLayer(config));
    layers.register_module(std::to_string(i), layers_.back());
  }
  if (!config.has_pooler) return;
  pooler_ = Linear(LinearShape{config.hidden_size, config.hidden_size});
  name_group(*this, "pooler").register_module("dense", pooler_);
}

std::vector<Tensor> BertEncoderImpl::hidden_states(const Batch& batch, const Pass& pass) {
  std::vector<Tensor> states = {embeddings_(batch, pass)};
  backend::Branches x{states[0], states[0]};
  for (BertLayer& layer : layers_) {
    x = layer(x, batch, pass);
    states.push_back(x.into);
  }
  return states;
}

Tensor BertEncoderImpl::first_tokens(const Batch& batch, const Pass& pass) {
  const Tensor embedded = embeddings_(batch, pass);
  backend::Branches x{embedded, embedded};
  for (size_t i = 0; i + 1 < layers_.size(); ++i) x = layers_[i](x, batch, pass);
  return layers_.back()->forward_first(x, batch, pass);
}

Tensor BertEncoderImpl::pooled(const Batch& batch, const Pass& pass) {
  return torch::tanh(pooler_(first_tokens(batch, pass), pass.at(batch.first)));
}

}  // namespace mtlora
