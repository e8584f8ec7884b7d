#include "lib/models/post_norm.h"

#include "lib/nn/names.h"

namespace mtlora {

PostNorm::PostNorm(const PostNormShape& s)
    : activation_(s.activation),
      attention_output_(LinearShape{.in = s.hidden_size, .out = s.hidden_size, .heads = s.heads}),
      intermediate_(LinearShape{s.hidden_size, s.intermediate_size}),
      output_(LinearShape{s.intermediate_size, s.hidden_size}),
      attention_norm_(s.hidden_size, s.layer_norm_eps, Sublayer::attention),
      output_norm_(s.hidden_size, s.layer_norm_eps, Sublayer::feed_forward),
      attention_dropout_(s.dropout),
      output_dropout_(s.dropout) {}

void PostNorm::register_in(torch::nn::Module& layer, torch::nn::Module& attention) {
  torch::nn::Module& projection = name_group(attention, "output");
  projection.register_module("dense", attention_output_);
  projection.register_module("LayerNorm", attention_norm_);
  projection.register_module("dropout", attention_dropout_);
  name_group(layer, "intermediate").register_module("dense", intermediate_);
  torch::nn::Module& output = name_group(layer, "output");
  output.register_module("dense", output_);
  output.register_module("LayerNorm", output_norm_);
  output.register_module("dropout", output_dropout_);
}

backend::Branches PostNorm::operator()(const Tensor& context, const Tensor& x, const Pass& pass) {
  const backend::Branches attended = attention_norm_->after_residual(
      attention_output_(context, pass), x, attention_dropout_->at(pass));
  const Tensor inner = activation_(intermediate_(attended.into, pass));
  return output_norm_->after_residual(output_(inner, pass), attended.around,
                                      output_dropout_->at(pass));
}

}  // namespace mtlora
