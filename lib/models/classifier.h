// A model that gives each sequence a few numbers: the classes' logits, or one value.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/models/bert_encoder.h"
#include "lib/models/model_config.h"
#include "lib/nn/pass.h"

namespace mtlora {

class Classifier : public torch::nn::Module {
 public:
  /// [sequences, outputs], fp32
  virtual Tensor logits(const Batch& batch, const Pass& pass) = 0;
  /// Hidden states of the embeddings and of each layer, [tokens, width] each; for inspection and
  /// tests.
  virtual std::vector<Tensor> hidden_states(const Batch& batch, const Pass& pass) = 0;
  /// The longest sequence that the position embeddings allow.
  virtual int64_t longest() const = 0;
  virtual int64_t vocab_size() const = 0;
};

struct ClassifierShape {
  int64_t outputs = 2;
  std::optional<double> dropout;  ///< overrides the model's own probabilities
};

/// A model family: how it is built from a config.json, and how its tensors are called.
struct Family {
  std::string name;  ///< config.json's "model_type"
  std::string summary;
  std::string prefix;  ///< of the encoder's tensors in a checkpoint with a head: "bert."
  std::vector<std::string>
      head;  ///< patterns of the head's tensors: new where a checkpoint has none
  std::vector<std::string>
      optional;  ///< patterns of further tensors that a checkpoint may lack (a pooler)
  std::vector<std::string>
      ignored;  ///< patterns of a checkpoint's tensors that this model has no use for
  std::function<std::shared_ptr<Classifier>(const ModelConfig&, const ClassifierShape&)> make;
};

const std::vector<Family>& families();
/// Throws Error naming the known ones.
const Family& family_of(const ModelConfig& config);

#define FAMILY(name) Family name();
#include "lib/models/families.def"
#undef FAMILY

}  // namespace mtlora
