// Llama: pre-norm decoder with RMS norms, rotary positions, grouped-query attention and a gated
// feed-forward block. Touvron et al. 2023, arXiv:2302.13971 and arXiv:2307.09288 (grouped queries);
// module names and numbers as Hugging Face's LlamaForCausalLM.

#include <cmath>

#include "lib/core/error.h"
#include "lib/models/family.h"
#include "lib/nn/dropout.h"
#include "lib/nn/linear.h"
#include "lib/nn/names.h"
#include "lib/nn/norm.h"
#include "lib/nn/rotary.h"

namespace mtlora {
namespace {

// An object of config.json; empty where it is absent or null.
Json section(const ModelConfig& c, const char* key) {
  const auto found = c.json().find(key);
  if (found == c.json().end() || found->is_null()) return Json::object();
  if (!found->is_object())
    fail("{}: \"{}\" should be an object or null, got {}", c.origin(), key, found->dump());
  return *found;
}

// "rope_theta" and "rope_scaling" (transformers up to 4), or "rope_parameters". As transformers 5
// has it, rope_scaling counts where both say something, with its own rope_theta or that beside it.
RotaryOptions rotary_options(const ModelConfig& c) {
  const Json newer = section(c, "rope_parameters"), older = section(c, "rope_scaling");
  const char* key = older.empty() ? "rope_parameters" : "rope_scaling";
  const ModelConfig scaling(older.empty() ? newer : older, c.origin() + " \"" + key + "\"");
  RotaryOptions o;
  o.base = scaling.number_or("rope_theta", c.number_or("rope_theta", o.base));
  o.scaling = scaling.text_or("rope_type", scaling.text_or("type", "default"));
  if (o.scaling == "default") return o;
  if (o.scaling != "linear" && o.scaling != "llama3")
    fail("{}: rotary scaling \"{}\" is not implemented; default, linear and llama3 are", c.origin(),
         o.scaling);
  if (o.scaling == "linear")
    o.factor = scaling.number("factor");
  else
    o.llama3 = {.factor = scaling.number("factor"),
                .low_frequency_factor = scaling.number("low_freq_factor"),
                .high_frequency_factor = scaling.number("high_freq_factor"),
                .original_positions = scaling.number("original_max_position_embeddings")};
  return o;
}

struct LlamaConfig {
  int64_t vocab_size, width, inner, layers, heads, kv_heads, head, positions;
  double epsilon, attention_dropout;
  bool is_tied, has_attention_bias, has_feed_bias;
  RotaryOptions rotary;

  LlamaConfig(const ModelConfig& c, std::optional<double> dropout)
      : vocab_size(c.integer("vocab_size")),
        width(c.integer("hidden_size")),
        inner(c.integer("intermediate_size")),
        layers(c.integer("num_hidden_layers")),
        heads(c.integer("num_attention_heads")),
        kv_heads(c.integer_or("num_key_value_heads", heads)),
        head(c.integer_or("head_dim", heads > 0 ? width / heads : 0)),
        positions(c.integer("max_position_embeddings")),
        epsilon(c.epsilon_or("rms_norm_eps", 1e-6)),
        attention_dropout(dropout.value_or(c.dropout_or("attention_dropout", 0))),
        is_tied(c.flag_or("tie_word_embeddings", false)),
        has_attention_bias(c.flag_or("attention_bias", false)),
        has_feed_bias(c.flag_or("mlp_bias", false)),
        rotary(rotary_options(c)) {
    c.require("hidden_act", "silu");
    if (heads == 0 || kv_heads == 0 || layers == 0 || heads % kv_heads != 0 || head == 0 ||
        head % 2 != 0)
      fail("{}: {} layers with {} heads of {} channels and {} key-value heads cannot be built",
           c.origin(), layers, heads, head, kv_heads);
  }
  int64_t q_width() const { return heads * head; }
  int64_t kv_width() const { return kv_heads * head; }
};

class LlamaLayerImpl : public torch::nn::Module {
 public:
  LlamaLayerImpl(const LlamaConfig& c, size_t layer)
      : attention_norm(register_module("input_layernorm", RmsNorm(c.width, c.epsilon))),
        shape_{c.heads, c.kv_heads, 1.0 / std::sqrt(static_cast<double>(c.head))},
        index_(layer),
        feed_norm_(register_module("post_attention_layernorm", RmsNorm(c.width, c.epsilon))),
        qkv_(
            LinearShape{c.width, c.q_width() + 2 * c.kv_width(), c.has_attention_bias, c.heads},
            parts_of({{"q_proj", c.q_width()}, {"k_proj", c.kv_width()}, {"v_proj", c.kv_width()}}),
            PartsAre::layers),
        o_proj_(LinearShape{c.q_width(), c.width, c.has_attention_bias, c.heads}),
        gate_up_(LinearShape{c.width, 2 * c.inner, c.has_feed_bias},
                 std::vector<std::string>{"gate_proj", "up_proj"}),
        down_proj_(LinearShape{c.inner, c.width, c.has_feed_bias}),
        attention_dropout_(c.attention_dropout) {
    torch::nn::Module& attention = name_group(*this, "self_attn");
    attention.register_module("qkv", qkv_);
    attention.register_module("o_proj", o_proj_);
    attention.register_module("dropout", attention_dropout_);
    torch::nn::Module& mlp = name_group(*this, "mlp");
    mlp.register_module("gate_up", gate_up_);
    mlp.register_module("down_proj", down_proj_);
  }

  /// `normed` is attention_norm of x.sum; the next layer's norm closes this one.
  backend::Normed forward(const backend::Normed& x, RmsNorm& next_norm, const Tensor& positions,
                          const backend::Rotary& rotary, Attend& attend, const Pass& pass) {
    const Tensor qkv = backend::rotate(qkv_(x.normed, pass), positions, rotary, shape_);
    const Tensor context = attend(index_, qkv, shape_, attention_dropout_->at(pass));
    const backend::Normed mid = feed_norm_->before_block(o_proj_(context, pass), x.sum, {});
    const Tensor inner = backend::swiglu(gate_up_(mid.normed, pass));
    return next_norm->before_block(down_proj_(inner, pass), mid.sum, {});
  }

  RmsNorm attention_norm;

 private:
  backend::CausalShape shape_;
  size_t index_;
  RmsNorm feed_norm_;
  Linear qkv_, o_proj_, gate_up_, down_proj_;
  DropoutSite attention_dropout_;
};
TORCH_MODULE(LlamaLayer);

class Llama final : public LanguageModel {
 public:
  Llama(const ModelConfig& config, std::optional<double> dropout)
      : c_(config, dropout),
        rotary_(rotary_table(c_.positions, c_.head, c_.rotary)),
        norm_(c_.width, c_.epsilon) {
    torch::nn::Module& body = name_group(*this, "model");
    const auto table = [&](torch::nn::Module& parent, const char* name) {
      return name_group(parent, name)
          .register_parameter("weight", torch::empty({c_.vocab_size, c_.width}));
    };
    words_ = table(body, "embed_tokens");
    torch::nn::Module& layers = name_group(body, "layers");
    for (int64_t i = 0; i < c_.layers; ++i) {
      layers_.push_back(LlamaLayer(c_, static_cast<size_t>(i)));
      layers.register_module(std::to_string(i), layers_.back());
    }
    body.register_module("norm", norm_);
    if (!c_.is_tied) head_ = table(*this, "lm_head");
  }

  Tensor hidden(const Tensor& ids, const Tensor& positions, Attend& attend,
                const Pass& pass) override {
    if (rotary_.cos.device() != words_.device())  // the model has been moved
      rotary_ = {rotary_.cos.to(words_.device()), rotary_.sin.to(words_.device())};
    const Tensor x = at::embedding(words_, ids);
    backend::Normed state{x, layers_.front()->attention_norm(x)};
    for (size_t i = 0; i < layers_.size(); ++i)
      state = layers_[i](state, i + 1 < layers_.size() ? layers_[i + 1]->attention_norm : norm_,
                         positions, rotary_, attend, pass);
    return state.normed;
  }
  const Tensor& head() const override { return c_.is_tied ? words_ : head_; }
  DecoderShape shape() const override { return {c_.layers, c_.heads, c_.kv_heads, c_.head}; }
  int64_t longest() const override { return c_.positions; }
  int64_t vocab_size() const override { return c_.vocab_size; }

 private:
  LlamaConfig c_;
  backend::Rotary rotary_;
  Tensor words_, head_;  // [vocab, width]
  std::vector<LlamaLayer> layers_;
  RmsNorm norm_;
};

}  // namespace

Family llama() {
  return {.name = "llama",
          .summary = "Llama 2 and 3, SmolLM2, TinyLlama and models of the same form.",
          .prefix = "model.",
          .architecture = "LlamaForCausalLM",
          .ignored = {"**.rotary_emb.inv_freq", "lm_head.weight"},
          .language_model = [](const ModelConfig& config, std::optional<double> dropout) {
            return std::make_shared<Llama>(config, dropout);
          }};
}

}  // namespace mtlora
