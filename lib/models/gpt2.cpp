// GPT-2: pre-norm transformer decoder with learned positions. Radford et al. 2019, "Language Models
// are Unsupervised Multitask Learners"; module names and numbers as Hugging Face's GPT2LMHeadModel.
// Its Conv1D layers are linear layers whose weights stand as [in, out] in a checkpoint.

#include <cmath>

#include "lib/core/error.h"
#include "lib/models/family.h"
#include "lib/nn/dropout.h"
#include "lib/nn/linear.h"
#include "lib/nn/names.h"
#include "lib/nn/norm.h"

namespace mtlora {
namespace {

struct Gpt2Config {
  int64_t vocab_size, width, layers, heads, positions, inner;
  double residual_dropout, embedding_dropout, attention_dropout, epsilon;
  bool is_tied, scales_by_layer, scales_attention;

  Gpt2Config(const ModelConfig& c, std::optional<double> dropout)
      : vocab_size(c.integer("vocab_size")),
        width(c.integer("n_embd")),
        layers(c.integer("n_layer")),
        heads(c.integer("n_head")),
        positions(c.integer("n_positions")),
        inner(c.integer_or("n_inner", 4 * width)),
        residual_dropout(dropout.value_or(c.dropout_or("resid_pdrop", 0.1))),
        embedding_dropout(dropout.value_or(c.dropout_or("embd_pdrop", 0.1))),
        attention_dropout(dropout.value_or(c.dropout_or("attn_pdrop", 0.1))),
        epsilon(c.epsilon_or("layer_norm_epsilon", 1e-5)),
        is_tied(c.flag_or("tie_word_embeddings", true)),
        scales_by_layer(c.flag_or("scale_attn_by_inverse_layer_idx", false)),
        scales_attention(c.flag_or("scale_attn_weights", true)) {
    c.require("activation_function", "gelu_new");
    c.require_off("add_cross_attention");
    if (heads == 0 || layers == 0 || width % heads != 0)
      fail("{}: {} layers of width {} with {} heads cannot be built", c.origin(), layers, width,
           heads);
  }

  double scale(int64_t layer) const {
    const double by_head =
        scales_attention ? 1.0 / std::sqrt(static_cast<double>(width / heads)) : 1.0;
    return scales_by_layer ? by_head / static_cast<double>(layer + 1) : by_head;
  }
};

class Gpt2BlockImpl : public torch::nn::Module {
 public:
  Gpt2BlockImpl(const Gpt2Config& c, int64_t layer)
      : attention_norm(register_module("ln_1", LayerNorm(c.width, c.epsilon))),
        feed_norm(register_module("ln_2", LayerNorm(c.width, c.epsilon))),
        shape_{c.heads, c.heads, c.scale(layer)},
        index_(static_cast<size_t>(layer)),
        c_attn_(LinearShape{.in = c.width, .out = 3 * c.width, .heads = c.heads},
                std::vector<std::string>{"query", "key", "value"}, PartsAre::rows),
        attention_proj_(LinearShape{.in = c.width, .out = c.width, .heads = c.heads}),
        c_fc_(LinearShape{c.width, c.inner}),
        feed_proj_(LinearShape{c.inner, c.width}),
        attention_dropout_(c.attention_dropout),
        attention_residual_dropout_(c.residual_dropout),
        feed_residual_dropout_(c.residual_dropout) {
    torch::nn::Module& attention = name_group(*this, "attn");
    attention.register_module("c_attn", c_attn_);
    attention.register_module("c_proj", attention_proj_);
    attention.register_module("attn_dropout", attention_dropout_);
    attention.register_module("resid_dropout", attention_residual_dropout_);
    torch::nn::Module& mlp = name_group(*this, "mlp");
    mlp.register_module("c_fc", c_fc_);
    mlp.register_module("c_proj", feed_proj_);
    mlp.register_module("dropout", feed_residual_dropout_);
  }

  /// `normed` is attention_norm of x.sum; the next block's norm closes this one.
  backend::Normed forward(const backend::Normed& x, LayerNorm& next_norm, Attend& attend,
                          const Pass& pass) {
    const Tensor context =
        attend(index_, c_attn_(x.normed, pass), shape_, attention_dropout_->at(pass));
    const backend::Normed mid = feed_norm->before_block(attention_proj_(context, pass), x.sum,
                                                        attention_residual_dropout_->at(pass));
    const Tensor inner = backend::gelu_tanh(c_fc_(mid.normed, pass));
    return next_norm->before_block(feed_proj_(inner, pass), mid.sum,
                                   feed_residual_dropout_->at(pass));
  }

  LayerNorm attention_norm, feed_norm;

 private:
  backend::CausalShape shape_;
  size_t index_;
  Linear c_attn_, attention_proj_, c_fc_, feed_proj_;
  DropoutSite attention_dropout_, attention_residual_dropout_, feed_residual_dropout_;
};
TORCH_MODULE(Gpt2Block);

class Gpt2 final : public LanguageModel {
 public:
  Gpt2(const ModelConfig& config, std::optional<double> dropout)
      : c_(config, dropout), dropout_(c_.embedding_dropout), norm_(c_.width, c_.epsilon) {
    torch::nn::Module& body = name_group(*this, "transformer");
    const auto table = [&](torch::nn::Module& parent, const char* name, int64_t entries) {
      return name_group(parent, name)
          .register_parameter("weight", torch::empty({entries, c_.width}));
    };
    words_ = table(body, "wte", c_.vocab_size);
    positions_ = table(body, "wpe", c_.positions);
    body.register_module("drop", dropout_);
    torch::nn::Module& blocks = name_group(body, "h");
    for (int64_t i = 0; i < c_.layers; ++i) {
      blocks_.push_back(Gpt2Block(c_, i));
      blocks.register_module(std::to_string(i), blocks_.back());
    }
    body.register_module("ln_f", norm_);
    if (!c_.is_tied) head_ = table(*this, "lm_head", c_.vocab_size);
  }

  Tensor hidden(const Tensor& ids, const Tensor& positions, Attend& attend,
                const Pass& pass) override {
    const Tensor x =
        dropout_(at::embedding(words_, ids) + at::embedding(positions_, positions), pass);
    backend::Normed state{x, blocks_.front()->attention_norm(x)};
    for (size_t i = 0; i < blocks_.size(); ++i)
      state = blocks_[i](state, i + 1 < blocks_.size() ? blocks_[i + 1]->attention_norm : norm_,
                         attend, pass);
    return state.normed;
  }
  const Tensor& head() const override { return c_.is_tied ? words_ : head_; }
  DecoderShape shape() const override {
    return {c_.layers, c_.heads, c_.heads, c_.width / c_.heads};
  }
  int64_t longest() const override { return c_.positions; }
  int64_t vocab_size() const override { return c_.vocab_size; }

 private:
  Gpt2Config c_;
  Tensor words_, positions_, head_;  // [vocab, width], [positions, width], [vocab, width]
  DropoutSite dropout_;
  std::vector<Gpt2Block> blocks_;
  LayerNorm norm_;
};

}  // namespace

Family gpt2() {
  return {.name = "gpt2",
          .summary = "GPT-2 of every size.",
          .prefix = "transformer.",
          .architecture = "GPT2LMHeadModel",
          .ignored = {"transformer.h.*.attn.bias", "transformer.h.*.attn.masked_bias",
                      "lm_head.weight"},
          .transposed = {"**.c_attn.weight", "**.c_proj.weight", "**.c_fc.weight"},
          .language_model = [](const ModelConfig& config, std::optional<double> dropout) {
            return std::make_shared<Gpt2>(config, dropout);
          }};
}

}  // namespace mtlora
