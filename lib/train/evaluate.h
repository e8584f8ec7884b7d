// What a model says of a data set, and how good that is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/backend/shards.h"
#include "lib/core/json.h"
#include "lib/data/task.h"
#include "lib/models/classifier.h"
#include "lib/models/language_model.h"
#include "lib/train/collate.h"
#include "lib/train/recorded_passes.h"
#include "lib/train/world.h"

namespace mtlora {

struct EvaluateOptions {
  CollateOptions collate;
  int64_t batch_size = 64;  ///< examples at most: long ones are taken in smaller batches on a CPU
  World* world = nullptr;   ///< the processes that share the work and all get the result
  RecordedPasses* recorded = nullptr;  ///< on a device: recorded_evaluation() of the model
};

/// Evaluation's passes over batches, recorded, for all evaluations of a model on a device; the
/// model outlives them. `repeats`: as RecordedPasses has it.
std::unique_ptr<RecordedPasses> recorded_evaluation(Classifier& model, bool repeats);
std::unique_ptr<RecordedPasses> recorded_evaluation(LanguageModel& model, bool repeats);

/// The model's logits [examples, outputs], fp32, in the order of the set. Examples of like length
/// are batched together; an example's logits depend on its batch only through rounding, and the
/// batches only on the set, the batch size and the kind of device, so the same call gives the same
/// bits.
Tensor predict_logits(Classifier& model, const EncodedSet& set, backend::ShardPool& pool,
                      const EvaluateOptions& options);

struct Evaluation {
  std::vector<std::pair<std::string, double>> metrics;  ///< in the task's order
  double loss = 0;                                      ///< mean
  int64_t examples = 0;

  /// The metric `name`, or the loss for "loss".
  double value(const std::string& name) const;
  /// {"accuracy": 0.91, …}; a number that is not finite is null.
  Json metrics_json() const;
};

/// The mean loss of the targets of the texts, without label smoothing; the same guarantees.
Evaluation evaluate_texts(LanguageModel& model, const EncodedSet& set, backend::ShardPool& pool,
                          const EvaluateOptions& options);

/// Throws Error when an example has no label.
Evaluation evaluate(Classifier& model, const EncodedSet& set, const TaskInfo& task,
                    backend::ShardPool& pool, const EvaluateOptions& options);

}  // namespace mtlora
