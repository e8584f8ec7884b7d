// RoBERTa of any size, for what its shape alone decides.
#pragma once

#include "lib/core/json.h"
#include "lib/models/family.h"
#include "lib/models/model_config.h"

namespace mtlora::test {

/// Without its vocabulary, which no adapter is on.
inline ModelConfig roberta_shape(int64_t width, int64_t heads, int64_t layers) {
  return ModelConfig(Json{{"model_type", "roberta"},
                          {"vocab_size", 10},
                          {"hidden_size", width},
                          {"num_hidden_layers", layers},
                          {"num_attention_heads", heads},
                          {"intermediate_size", 4 * width},
                          {"max_position_embeddings", 514},
                          {"type_vocab_size", 1}},
                     "a test");
}

/// Its weights have no values.
inline std::shared_ptr<Classifier> roberta_of(int64_t width, int64_t heads, int64_t layers) {
  const ModelConfig config = roberta_shape(width, heads, layers);
  return family_of(config).classifier(config, {});
}

}  // namespace mtlora::test
