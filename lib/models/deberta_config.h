// What a DeBERTa-v2 or -v3 is, of its config.json; defaults as Hugging Face's DebertaV2Config.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/models/model_config.h"
#include "lib/nn/relative_rows.h"

namespace mtlora {

struct DebertaConfig {
  int64_t vocab_size, hidden_size, embedding_size, num_hidden_layers, num_attention_heads;
  int64_t intermediate_size, max_position_embeddings, type_vocab_size;
  double hidden_dropout_prob, attention_probs_dropout_prob, layer_norm_eps;
  std::string hidden_act;
  bool position_biased_input;  ///< absolute positions are added to the words
  bool relative_attention;     ///< there is a table of relative positions
  bool c2p, p2c;               ///< pos_att_type: queries meet positions, keys meet positions
  bool share_att_key;          ///< positions are projected as the content is
  bool norm_rel_ebd;           ///< a LayerNorm over the table
  RelativeSpan span;           ///< of the table
  int64_t conv_kernel_size;    ///< of the convolution beside the first layer; 0: none
  std::string conv_act;

  /// `dropout`, where given, overrides both of the model's own probabilities. Throws Error naming a
  /// variant that is not implemented.
  DebertaConfig(const ModelConfig& config, std::optional<double> dropout);

  int64_t head() const { return hidden_size / num_attention_heads; }
  /// Of the scores: 1 / sqrt(head · terms of a score).
  double scale() const;

 private:
  void check(const ModelConfig& config) const;
};

}  // namespace mtlora
