// What a model is trained for: the loss of a few examples, and what the sum of losses is divided
// by. The training step knows nothing else of the model.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/models/classifier.h"
#include "lib/models/language_model.h"
#include "lib/train/collate.h"

namespace mtlora {

class Objective {
 public:
  virtual ~Objective() = default;
  /// The examples that it is about.
  virtual const EncodedSet& set() const = 0;
  /// How many terms an example adds to the loss: 1 for a label, its targets for a text.
  virtual int64_t terms(int64_t index) const = 0;
  /// Of all examples of a step.
  int64_t terms_of(const std::vector<std::vector<Item>>& micro_batches) const;
  /// The batch of the items on the CPU.
  virtual Batch collate(const std::vector<Item>& items) const = 0;
  virtual Model& model() const = 0;
  /// Where the model computes.
  torch::Device device() const { return model().device(); }
  /// The batch of the items where the model computes.
  Batch batch(const std::vector<Item>& items) const;
  /// The sum of the terms, an fp32 scalar.
  virtual Tensor loss(const Batch& batch, const Pass& pass) const = 0;
};

/// Cross-entropy of labels, or squared error of values.
class LabelObjective final : public Objective {
 public:
  LabelObjective(Classifier& model, const EncodedSet& set, CollateOptions collate,
                 double label_smoothing)
      : model_(model), set_(set), collate_(collate), smoothing_(label_smoothing) {}
  const EncodedSet& set() const override { return set_; }
  int64_t terms(int64_t) const override { return 1; }
  Batch collate(const std::vector<Item>& items) const override;
  Model& model() const override { return model_; }
  Tensor loss(const Batch& batch, const Pass& pass) const override;

 private:
  Classifier& model_;
  const EncodedSet& set_;
  CollateOptions collate_;
  double smoothing_;
};

/// The sum of the cross-entropies of a batch's targets, each given all tokens before it.
Tensor text_loss(LanguageModel& model, const Batch& batch, const Pass& pass, double smoothing);

/// Cross-entropy of the tokens of the completions: text_loss().
class TextObjective final : public Objective {
 public:
  TextObjective(LanguageModel& model, const EncodedSet& set, double label_smoothing)
      : model_(model), set_(set), smoothing_(label_smoothing) {}
  const EncodedSet& set() const override { return set_; }
  int64_t terms(int64_t index) const override { return set_.targets(index); }
  Batch collate(const std::vector<Item>& items) const override;
  Model& model() const override { return model_; }
  Tensor loss(const Batch& batch, const Pass& pass) const override;

 private:
  LanguageModel& model_;
  const EncodedSet& set_;
  double smoothing_;
};

}  // namespace mtlora
