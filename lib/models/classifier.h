// A model that gives each sequence a few numbers: the classes' logits, or one value.
#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

#include "lib/models/model.h"
#include "lib/nn/pass.h"

namespace mtlora {

class Classifier : public Model {
 public:
  /// [sequences, outputs], fp32
  virtual Tensor logits(const Batch& batch, const Pass& pass) = 0;
  /// Hidden states of the embeddings and of each layer, [tokens, width] each; for inspection and
  /// tests.
  virtual std::vector<Tensor> hidden_states(const Batch& batch, const Pass& pass) = 0;
  /// Numbers that it gives each sequence.
  virtual int64_t outputs() const = 0;
  /// Segments that it has embeddings of; none: it does not read them.
  virtual std::optional<int64_t> segments() const = 0;
};

struct ClassifierShape {
  int64_t outputs = 2;
  std::optional<double> dropout;  ///< overrides the model's own probabilities
};

}  // namespace mtlora
