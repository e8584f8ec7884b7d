// The names of a model's layers and tensors as a checkpoint has them. Inside, query, key and value
// are one layer; in a checkpoint, and to the user, they are three.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "lib/nn/linear.h"
#include "lib/nn/norm.h"

namespace mtlora {

/// The path before the last component of a name; empty where there is only one.
std::string parent_of(const std::string& name);

/// What a target can name: a whole Linear, or one part of a fused one.
struct Slot {
  std::string path;    ///< "bert.encoder.layer.0.attention.self.query", "….attn.c_attn.query"
  std::string layer;   ///< the layer of the checkpoint it belongs to: the same, "….attn.c_attn"
  LinearImpl* linear;  ///< owned by the model
  size_t part;         ///< index in linear->parts()
};

/// Every linear layer below `root`, in the model's order.
std::vector<Slot> linear_slots(torch::nn::Module& root);

/// A slot for a block: the end of a sublayer of a post-norm layer.
struct BlockSlot {
  std::string path;           ///< of the module that holds the norm: "….attention.output"
  torch::nn::Module* parent;  ///< that module; owned by the model, as the norm
  LayerNormImpl* norm;
};

/// Every slot for a block below `root`, in the model's order.
std::vector<BlockSlot> block_slots(torch::nn::Module& root);

/// A tensor under its checkpoint name: a parameter, or the rows of one that belong to a part.
struct NamedTensor {
  std::string name;
  Tensor tensor;     ///< a view: writing it writes the parameter
  Tensor parameter;  ///< the whole
};

/// Every parameter below `root`, fused ones part by part, in the model's order.
std::vector<NamedTensor> named_tensors(const torch::nn::Module& root);

/// A module below `parent` that only carries a name, such as the "self" of "attention.self.query".
torch::nn::Module& name_group(torch::nn::Module& parent, const std::string& name);

}  // namespace mtlora
