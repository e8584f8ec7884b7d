#include "lib/models/deberta_encoder.h"

#include "lib/nn/names.h"

namespace mtlora {

DebertaEmbeddingsImpl::DebertaEmbeddingsImpl(const DebertaConfig& c)
    : norm_(c.hidden_size, c.layer_norm_eps), dropout_(c.hidden_dropout_prob) {
  const auto table = [&](const char* name, int64_t entries) {
    return name_group(*this, name)
        .register_parameter("weight", torch::empty({entries, c.embedding_size}));
  };
  word_ = table("word_embeddings", c.vocab_size);
  if (c.position_biased_input) position_ = table("position_embeddings", c.max_position_embeddings);
  if (c.type_vocab_size > 0) segment_ = table("token_type_embeddings", c.type_vocab_size);
  if (c.embedding_size != c.hidden_size)
    projection_ = register_module(
        "embed_proj", Linear(LinearShape{c.embedding_size, c.hidden_size, /*has_bias=*/false}));
  register_module("LayerNorm", norm_);
  register_module("dropout", dropout_);
}

Tensor DebertaEmbeddingsImpl::forward(const Batch& batch, const Pass& pass) {
  std::vector<backend::Lookup> lookups{{word_, batch.ids}};
  if (position_.defined()) lookups.push_back({position_, batch.positions});
  if (segment_.defined()) lookups.push_back({segment_, batch.segments});
  if (!projection_) return norm_->of_rows(lookups, dropout_->at(pass));
  return dropout_(norm_(projection_(backend::sum_of(lookups), pass)), pass);
}

DebertaConvolutionImpl::DebertaConvolutionImpl(const DebertaConfig& c)
    : taps_(c.conv_kernel_size),
      activation_(activation_of(c.conv_act, "conv_act")),
      norm_(c.hidden_size, c.layer_norm_eps),
      dropout_(c.hidden_dropout_prob) {
  torch::nn::Module& conv = name_group(*this, "conv");
  weight_ = conv.register_parameter("weight", torch::empty({c.hidden_size, c.hidden_size, taps_}));
  bias_ = conv.register_parameter("bias", torch::empty({c.hidden_size}));
  register_module("LayerNorm", norm_);
  register_module("dropout", dropout_);
}

namespace {

// [taps, tokens] int64: the tokens around each one; `tokens`, a row of zeros, beyond the ends of
// its sequence. A token's neighbour lies in the same sequence where its position says so: beyond an
// end positions begin anew.
Tensor neighbours(const Batch& batch, int64_t taps) {
  const int64_t tokens = batch.ids.size(0);
  const Tensor distance = torch::arange(taps, batch.ids.options()).unsqueeze(1) - taps / 2;
  const Tensor from = torch::arange(tokens, batch.ids.options()) + distance;
  const Tensor position =
      batch.positions.index_select(0, from.clamp(0, tokens - 1).view({-1})).view_as(from);
  return torch::where(position == batch.positions + distance, from, tokens);
}

}  // namespace

Tensor DebertaConvolutionImpl::forward(const Tensor& x, const Tensor& residual, const Batch& batch,
                                       const Pass& pass) {
  const int64_t width = x.size(1);
  const Tensor with_zeros = torch::cat({x, torch::zeros({1, width}, x.options())});
  const Tensor index = neighbours(batch, taps_);
  std::vector<Tensor> rows;  // of each tap; a row comes once in each, so that its gradients add up
                             // in a fixed order on a device too
  for (int64_t tap = 0; tap < taps_; ++tap) rows.push_back(with_zeros.index_select(0, index[tap]));
  const Tensor around = torch::cat(rows, 1);  // [tokens, taps · width]
  const Tensor weight = weight_.permute({0, 2, 1}).reshape({width, taps_ * width});
  const Tensor out = dropout_(backend::linear(around, weight, bias_), pass);
  return norm_(residual + activation_(out));
}

DebertaLayerImpl::DebertaLayerImpl(const DebertaConfig& c)
    : self_(c),
      after_attention_({c.hidden_size, c.num_attention_heads, c.intermediate_size, c.layer_norm_eps,
                        c.hidden_dropout_prob, activation_of(c.hidden_act, "hidden_act")}) {
  torch::nn::Module& attention = name_group(*this, "attention");
  attention.register_module("self", self_);
  after_attention_.register_in(*this, attention);
}

backend::Branches DebertaLayerImpl::forward(const backend::Branches& x, const RelativeTable& table,
                                            const Batch& batch, const Pass& pass) {
  return after_attention_(self_(x.into, table, batch, pass), x.around, pass);
}

Tensor DebertaLayerImpl::forward_first(const backend::Branches& x, const RelativeTable& table,
                                       const Batch& batch, const Pass& pass) {
  const Tensor first = x.around.index_select(0, batch.first);
  const Tensor context = self_->forward_first(x.into, first, table, batch, pass);
  return after_attention_(context, first, pass.at(batch.first)).into;
}

DebertaEncoderImpl::DebertaEncoderImpl(const DebertaConfig& config)
    : config_(config),
      embeddings_(register_module("embeddings", DebertaEmbeddings(config))),
      positions_(config) {
  torch::nn::Module& encoder = name_group(*this, "encoder");
  torch::nn::Module& layers = name_group(encoder, "layer");
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(DebertaLayer(config));
    layers.register_module(std::to_string(i), layers_.back());
  }
  positions_.register_in(encoder);
  if (config.conv_kernel_size > 0)
    convolution_ = encoder.register_module("conv", DebertaConvolution(config));
}

// The convolution reads the embeddings, which are the first layer's x.
backend::Branches DebertaEncoderImpl::layer(size_t i, const backend::Branches& x,
                                            const RelativeTable& table, const Batch& batch,
                                            const Pass& pass) {
  const backend::Branches y = layers_[i](x, table, batch, pass);
  if (i > 0 || !convolution_) return y;
  const Tensor convolved = convolution_(x.into, y.into, batch, pass);
  return {convolved, convolved};
}

std::vector<Tensor> DebertaEncoderImpl::hidden_states(const Batch& batch, const Pass& pass) {
  const RelativeTable table = positions_.at(batch.packing.longest, pass);
  std::vector<Tensor> states = {embeddings_(batch, pass)};
  backend::Branches x{states[0], states[0]};
  for (size_t i = 0; i < layers_.size(); ++i) {
    x = layer(i, x, table, batch, pass);
    states.push_back(x.into);
  }
  return states;
}

Tensor DebertaEncoderImpl::first_tokens(const Batch& batch, const Pass& pass) {
  const RelativeTable table = positions_.at(batch.packing.longest, pass);
  const Tensor embedded = embeddings_(batch, pass);
  backend::Branches x{embedded, embedded};
  const size_t last = layers_.size() - 1;
  for (size_t i = 0; i < last; ++i) x = layer(i, x, table, batch, pass);
  if (last == 0 && convolution_)
    return layer(0, x, table, batch, pass).into.index_select(0, batch.first);
  return layers_[last]->forward_first(x, table, batch, pass);
}

}  // namespace mtlora
