#include "lib/models/deberta_config.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "lib/core/error.h"
#include "lib/nn/activation.h"

namespace mtlora {
namespace {

// "p2c|c2p" or "none" in parts, without spaces, in lower case.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '|')
      parts.emplace_back();
    else if (c != ' ')
      parts.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return parts;
}

// The terms beside the content's: a text "p2c|c2p", or a list.
std::vector<std::string> attention_terms(const ModelConfig& config) {
  const auto found = config.json().find("pos_att_type");
  if (found == config.json().end() || found->is_null()) return {};
  if (!found->is_array()) return split(config.text("pos_att_type"));
  std::vector<std::string> terms;
  for (const Json& term : *found)
    terms.push_back(term.is_string() ? term.get<std::string>() : term.dump());
  return terms;
}

bool contains(const std::vector<std::string>& list, const char* what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

RelativeSpan span_of(const ModelConfig& config, int64_t max_position_embeddings) {
  const auto whole = [&](const char* key) {
    return static_cast<int64_t>(config.number_or(key, -1));
  };
  const int64_t given = whole("max_relative_positions");
  const RelativeSpan span{std::max<int64_t>(0, whole("position_buckets")),
                          given < 1 ? max_position_embeddings : given};
  if (span.buckets > 0 && (span.buckets < 2 || span.max_positions - 1 <= span.buckets / 2))
    fail("{}: {} position_buckets cannot hold relative positions up to {}", config.origin(),
         span.buckets, span.max_positions);
  return span;
}

}  // namespace

DebertaConfig::DebertaConfig(const ModelConfig& config, std::optional<double> dropout)
    : vocab_size(config.integer("vocab_size")),
      hidden_size(config.integer("hidden_size")),
      embedding_size(config.integer_or("embedding_size", hidden_size)),
      num_hidden_layers(config.integer("num_hidden_layers")),
      num_attention_heads(config.integer("num_attention_heads")),
      intermediate_size(config.integer("intermediate_size")),
      max_position_embeddings(config.integer("max_position_embeddings")),
      type_vocab_size(config.integer_or("type_vocab_size", 0)),
      hidden_dropout_prob(dropout.value_or(config.dropout_or("hidden_dropout_prob", 0.1))),
      attention_probs_dropout_prob(
          dropout.value_or(config.dropout_or("attention_probs_dropout_prob", 0.1))),
      layer_norm_eps(config.epsilon_or("layer_norm_eps", 1e-7)),
      hidden_act(config.text_or("hidden_act", "gelu")),
      position_biased_input(config.flag_or("position_biased_input", true)),
      relative_attention(config.flag_or("relative_attention", false)),
      share_att_key(config.flag_or("share_att_key", false)),
      norm_rel_ebd(contains(split(config.text_or("norm_rel_ebd", "none")), "layer_norm")),
      span(span_of(config, max_position_embeddings)),
      conv_kernel_size(config.integer_or("conv_kernel_size", 0)),
      conv_act(config.text_or("conv_act", "tanh")) {
  const std::vector<std::string> terms = attention_terms(config);
  c2p = contains(terms, "c2p");
  p2c = contains(terms, "p2c");
  check(config);
}

void DebertaConfig::check(const ModelConfig& config) const {
  for (const std::string& term : attention_terms(config))
    if (term != "c2p" && term != "p2c")
      fail("{}: \"pos_att_type\": {}", config.origin(), unknown("term", term, {"c2p", "p2c"}));
  activation_of(hidden_act, config.origin() + ": \"hidden_act\"");
  activation_of(conv_act, config.origin() + ": \"conv_act\"");
  if (num_attention_heads == 0 || hidden_size % num_attention_heads != 0 || num_hidden_layers == 0)
    fail("{}: {} layers of width {} with {} heads cannot be built", config.origin(),
         num_hidden_layers, hidden_size, num_attention_heads);
  if (config.integer_or("attention_head_size", head()) != head())
    fail("{}: \"attention_head_size\" should be hidden_size / num_attention_heads = {}",
         config.origin(), head());
  if (config.integer_or("pooler_hidden_size", hidden_size) != hidden_size)
    fail("{}: \"pooler_hidden_size\" should be hidden_size = {}", config.origin(), hidden_size);
  if (conv_kernel_size > 0 && conv_kernel_size % 2 == 0)
    fail("{}: \"conv_kernel_size\" is {}; it should be odd", config.origin(), conv_kernel_size);
  if (config.integer_or("conv_groups", 1) != 1)
    fail("{}: \"conv_groups\" other than 1 is not implemented", config.origin());
}

double DebertaConfig::scale() const {
  const int64_t terms = 1 + (c2p ? 1 : 0) + (p2c ? 1 : 0);
  return 1.0 / std::sqrt(static_cast<double>(head() * terms));
}

}  // namespace mtlora
