// A Hugging Face folder → a model, every tensor of both accounted for.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/models/classifier.h"

namespace mtlora {

struct LoadedClassifier {
  std::shared_ptr<Classifier>
      model;  ///< fp32, nothing frozen, evaluation mode does not exist: see Pass
  const Family* family;
  ModelConfig config;
  std::vector<std::string> initialised;  ///< tensors that the checkpoint lacks: drawn anew
  std::vector<std::string> unused;  ///< the checkpoint's tensors that the model has no place for
  std::string fingerprint;  ///< of the base's tensors, the head left out: it is always trained
};

struct LoadOptions {
  /// Labels of the task (1 output for a regression); none: the checkpoint's own head as it is.
  std::optional<int64_t> outputs;
  std::optional<double> dropout;
  uint64_t seed = 0;  ///< of what is drawn anew
};

/// Throws Error naming file and tensor where a tensor of the base is missing or has the wrong
/// shape. A head that is missing, or that has another number of outputs than asked for, is drawn
/// anew (and listed).
LoadedClassifier load_classifier(const std::filesystem::path& folder, const LoadOptions& options);

/// Whether a tensor of that name belongs to the head.
bool is_head(const Family& family, const std::string& name);

/// Stores frozen weights of linear layers and embeddings in `type`; what is trained, norms and
/// heads stay fp32.
void set_compute_type(Classifier& model, const Family& family, torch::ScalarType type);

}  // namespace mtlora
