// BERT with a head for sequences: logits = classifier(dropout(tanh(pooler(first token)))).
// Devlin et al. 2019, arXiv:1810.04805; as Hugging Face's BertForSequenceClassification.

#include "lib/models/bert_encoder.h"
#include "lib/models/family.h"

namespace mtlora {
namespace {

class BertClassifier final : public Classifier {
 public:
  BertClassifier(const ModelConfig& config, const ClassifierShape& shape)
      : encoder_(register_module("bert", BertEncoder(BertConfig(config, shape.dropout)))),
        dropout_(register_module(
            "dropout", DropoutSite(shape.dropout.value_or(config.dropout_or(
                           "classifier_dropout", encoder_->config().hidden_dropout_prob))))),
        classifier_(register_module(
            "classifier", Linear(LinearShape{encoder_->config().hidden_size, shape.outputs}))) {}

  Tensor logits(const Batch& batch, const Pass& pass) override {
    const Tensor pooled = encoder_->pooled(batch, pass).to(classifier_->weight.scalar_type());
    const Pass of_first = pass.at(batch.first);
    return classifier_(dropout_(pooled, of_first), of_first);
  }
  std::vector<Tensor> hidden_states(const Batch& batch, const Pass& pass) override {
    return encoder_->hidden_states(batch, pass);
  }
  int64_t outputs() const override { return classifier_->shape().out; }
  int64_t longest() const override { return encoder_->config().max_position_embeddings; }
  int64_t vocab_size() const override { return encoder_->config().vocab_size; }
  std::optional<int64_t> segments() const override { return encoder_->config().type_vocab_size; }

 private:
  BertEncoder encoder_;
  DropoutSite dropout_;
  Linear classifier_;
};

}  // namespace

Family bert() {
  return {.name = "bert",
          .summary = "BERT and its kin: BERT-base/-large, MiniLM.",
          .prefix = "bert.",
          .architecture = "BertForSequenceClassification",
          .head = {"classifier.*"},
          .optional = {"bert.pooler.dense.*"},
          .ignored = {"bert.embeddings.position_ids", "cls.**"},
          .classifier = [](const ModelConfig& config, const ClassifierShape& shape) {
            return std::make_shared<BertClassifier>(config, shape);
          }};
}

}  // namespace mtlora
