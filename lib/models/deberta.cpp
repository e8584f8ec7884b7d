// DeBERTa-v2 and -v3 with a head for sequences:
//   logits = classifier(dropout(act(pooler(dropout(first token)))))
// He et al. 2021, arXiv:2006.03654 and arXiv:2111.09543; as Hugging Face's
// DebertaV2ForSequenceClassification.

#include "lib/models/deberta_encoder.h"
#include "lib/models/family.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

class DebertaClassifier final : public Classifier {
 public:
  DebertaClassifier(const ModelConfig& config, const ClassifierShape& shape)
      : encoder_(register_module("deberta", DebertaEncoder(DebertaConfig(config, shape.dropout)))),
        pooler_(LinearShape{width(), width()}),
        pooler_dropout_(shape.dropout.value_or(config.dropout_or("pooler_dropout", 0))),
        activation_(activation_of(config.text_or("pooler_hidden_act", "gelu"), config.origin())),
        dropout_(shape.dropout.value_or(
            config.dropout_or("cls_dropout", encoder_->config().hidden_dropout_prob))),
        classifier_(LinearShape{width(), shape.outputs}) {
    torch::nn::Module& pooler = name_group(*this, "pooler");
    pooler.register_module("dense", pooler_);
    pooler.register_module("dropout", pooler_dropout_);
    register_module("classifier", classifier_);
    register_module("dropout", dropout_);
  }

  Tensor logits(const Batch& batch, const Pass& pass) override {
    const Pass of_first = pass.at(batch.first);
    const Tensor first = pooler_dropout_(encoder_->first_tokens(batch, pass), of_first);
    const Tensor pooled = activation_(pooler_(first, of_first));
    const Tensor dropped = dropout_(pooled.to(classifier_->weight.scalar_type()), of_first);
    return classifier_(dropped, of_first);
  }
  std::vector<Tensor> hidden_states(const Batch& batch, const Pass& pass) override {
    return encoder_->hidden_states(batch, pass);
  }
  int64_t outputs() const override { return classifier_->shape().out; }
  int64_t longest() const override { return encoder_->config().max_position_embeddings; }
  int64_t vocab_size() const override { return encoder_->config().vocab_size; }
  std::optional<int64_t> segments() const override {
    const int64_t entries = encoder_->config().type_vocab_size;
    return entries > 0 ? std::optional(entries) : std::nullopt;
  }

 private:
  int64_t width() const { return encoder_->config().hidden_size; }

  DebertaEncoder encoder_;
  Linear pooler_;
  DropoutSite pooler_dropout_;
  Activation activation_;
  DropoutSite dropout_;
  Linear classifier_;
};

}  // namespace

Family deberta() {
  return {.name = "deberta-v2",
          .summary = "DeBERTa-v2 and -v3: deberta-v3-small, -base, -large, deberta-v2-xlarge.",
          .prefix = "deberta.",
          .architecture = "DebertaV2ForSequenceClassification",
          // Pretraining knows no pooler: it belongs to the task, even where a file has one.
          .head = {"classifier.*", "pooler.dense.*"},
          .ignored = {"deberta.embeddings.position_ids", "deberta.embeddings.position_embeddings.*",
                      "cls_predictions.**", "lm_predictions.**", "mask_predictions.**", "cls.**"},
          .classifier = [](const ModelConfig& config, const ClassifierShape& shape) {
            return std::make_shared<DebertaClassifier>(config, shape);
          }};
}

}  // namespace mtlora
