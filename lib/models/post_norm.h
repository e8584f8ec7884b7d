// What follows attention in a post-norm layer (Vaswani et al. 2017, arXiv:1706.03762, section 3):
//   y = norm(x + dropout(dense(context))),  z = norm(y + dropout(output(act(intermediate(y)))))
// Names as in Hugging Face's BertLayer: attention.output.*, intermediate.dense, output.*.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "lib/nn/activation.h"
#include "lib/nn/dropout.h"
#include "lib/nn/linear.h"
#include "lib/nn/norm.h"

namespace mtlora {

struct PostNormShape {
  int64_t hidden_size, heads, intermediate_size;
  double layer_norm_eps, dropout;
  Activation activation;
};

class PostNorm {
 public:
  explicit PostNorm(const PostNormShape& shape);
  /// Its modules become those of a layer and of the layer's "attention".
  void register_in(torch::nn::Module& layer, torch::nn::Module& attention);

  /// context and x [rows, width] -> the layer's output, the same
  backend::Branches operator()(const Tensor& context, const Tensor& x, const Pass& pass);

 private:
  Activation activation_;
  Linear attention_output_, intermediate_, output_;
  LayerNorm attention_norm_, output_norm_;
  DropoutSite attention_dropout_, output_dropout_;
};

}  // namespace mtlora
