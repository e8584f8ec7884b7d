// A Hugging Face folder (or a GGUF file, or a folder of one) → a model, every tensor of both
// accounted for.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/models/family.h"

namespace mtlora {

/// What was found beside the model.
struct LoadReport {
  const Family* family;
  ModelConfig config;
  std::vector<std::string> initialised;  ///< tensors that the checkpoint lacks: drawn anew
  std::vector<std::string> unused;  ///< the checkpoint's tensors that the model has no place for
  std::string fingerprint;  ///< of the base's tensors, the head left out: it is always trained
  std::vector<std::string> replaced{};  ///< those of `initialised` that it has in another shape
};

/// The model is fp32 with nothing frozen; evaluation mode does not exist: see Pass.
template <class M>
struct Loaded : LoadReport {
  std::shared_ptr<M> model;
};
using LoadedClassifier = Loaded<Classifier>;
using LoadedLanguageModel = Loaded<LanguageModel>;

struct LoadOptions {
  /// Labels of the task (1 output for a regression); none: the checkpoint's own head as it is.
  std::optional<int64_t> outputs;
  std::optional<double> dropout;
  uint64_t seed = 0;  ///< of what is drawn anew
};

/// Throws Error naming file and tensor where a tensor of the base is missing or has the wrong
/// shape, and where the family has no such model. A head that is missing, or that has another
/// number of outputs than asked for, is drawn anew (and listed).
LoadedClassifier load_classifier(const std::filesystem::path& folder, const LoadOptions& options);

/// The same; a language model has no head of its own, nothing is drawn anew.
LoadedLanguageModel load_language_model(const std::filesystem::path& folder,
                                        std::optional<double> dropout);

/// Whether a tensor of that name belongs to the head.
bool is_head(const Family& family, const std::string& name);
/// Whether checkpoints store a tensor of that name and so many dimensions as its transpose, as
/// GPT-2's do.
bool is_turned(const Family& family, const std::string& name, size_t dimensions);
/// Whether it belongs to the head's last layer, which has a row for each output.
bool is_last_of_head(const Family& family, const std::string& name);

/// Stores frozen weights of linear layers and embeddings in `type`; what is trained, norms and
/// heads stay fp32.
void set_compute_type(Model& model, const Family& family, torch::ScalarType type);

}  // namespace mtlora
