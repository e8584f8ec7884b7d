// What every pretrained model is, whatever it is asked for.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

namespace mtlora {

class Model : public torch::nn::Module {
 public:
  /// The longest sequence in tokens that the positions allow.
  virtual int64_t longest() const = 0;
  virtual int64_t vocab_size() const = 0;
  /// Where it computes.
  torch::Device device() const { return parameters().front().device(); }
};

}  // namespace mtlora
