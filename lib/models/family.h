// Model families: how a model is built from a config.json, and how its tensors are called.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/models/classifier.h"
#include "lib/models/language_model.h"
#include "lib/models/model_config.h"

namespace mtlora {

struct Family {
  std::string name;  ///< config.json's "model_type"
  std::string summary;
  std::string prefix;        ///< of the base's tensors in a checkpoint with a head: "bert."
  std::string architecture;  ///< what transformers calls the model with its head
  /// Patterns of the head's tensors: new where a checkpoint has none.
  std::vector<std::string> head{};
  /// Patterns of further tensors that a checkpoint may lack (a pooler).
  std::vector<std::string> optional{};
  /// Patterns of a checkpoint's tensors that this model has no use for.
  std::vector<std::string> ignored{};
  /// Patterns of weights that the checkpoint stores as [in, out].
  std::vector<std::string> transposed{};
  /// What the family can be; empty where it is not that.
  std::function<std::shared_ptr<Classifier>(const ModelConfig&, const ClassifierShape&)>
      classifier{};
  std::function<std::shared_ptr<LanguageModel>(const ModelConfig&, std::optional<double> dropout)>
      language_model{};
};

const std::vector<Family>& families();
/// Throws Error naming the known ones.
const Family& family_of(const ModelConfig& config);

}  // namespace mtlora
