// RoBERTa with a head for sequences: logits = out_proj(dropout(tanh(dense(dropout(first token))))).
// Liu et al. 2019, arXiv:1907.11692; as Hugging Face's RobertaForSequenceClassification. Positions
// count from pad_token_id + 1.

#include "lib/models/bert_encoder.h"
#include "lib/models/family.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

BertConfig roberta_config(const ModelConfig& config, const ClassifierShape& shape) {
  BertConfig c(config, shape.dropout);
  c.first_position = config.integer_or("pad_token_id", 1) + 1;
  c.has_pooler = false;
  return c;
}

class RobertaClassifier final : public Classifier {
 public:
  RobertaClassifier(const ModelConfig& config, const ClassifierShape& shape)
      : encoder_(register_module("roberta", BertEncoder(roberta_config(config, shape)))),
        dropout_(shape.dropout.value_or(
            config.dropout_or("classifier_dropout", encoder_->config().hidden_dropout_prob))),
        second_dropout_(dropout_->p()),
        dense_(LinearShape{encoder_->config().hidden_size, encoder_->config().hidden_size}),
        out_proj_(LinearShape{encoder_->config().hidden_size, shape.outputs}) {
    torch::nn::Module& head = name_group(*this, "classifier");
    head.register_module("dense", dense_);
    head.register_module("dropout", dropout_);
    head.register_module("dropout_2", second_dropout_);
    head.register_module("out_proj", out_proj_);
  }

  Tensor logits(const Batch& batch, const Pass& pass) override {
    const Tensor first = encoder_->first_tokens(batch, pass).to(dense_->weight.scalar_type());
    const Pass of_first = pass.at(batch.first);
    const Tensor inner = torch::tanh(dense_(dropout_(first, of_first), of_first));
    return out_proj_(second_dropout_(inner, of_first), of_first);
  }
  std::vector<Tensor> hidden_states(const Batch& batch, const Pass& pass) override {
    return encoder_->hidden_states(batch, pass);
  }
  int64_t outputs() const override { return out_proj_->shape().out; }
  int64_t longest() const override {
    return encoder_->config().max_position_embeddings - encoder_->config().first_position;
  }
  int64_t vocab_size() const override { return encoder_->config().vocab_size; }
  std::optional<int64_t> segments() const override { return encoder_->config().type_vocab_size; }

 private:
  BertEncoder encoder_;
  DropoutSite dropout_, second_dropout_;
  Linear dense_, out_proj_;
};

}  // namespace

Family roberta() {
  return {.name = "roberta",
          .summary = "RoBERTa-base and -large, and models of the same form.",
          .prefix = "roberta.",
          .architecture = "RobertaForSequenceClassification",
          .head = {"classifier.dense.*", "classifier.out_proj.*"},
          .ignored = {"roberta.embeddings.position_ids", "roberta.pooler.**", "lm_head.**"},
          .classifier = [](const ModelConfig& config, const ClassifierShape& shape) {
            return std::make_shared<RobertaClassifier>(config, shape);
          }};
}

}  // namespace mtlora
