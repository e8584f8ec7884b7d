// Options → objects: the task, the tokenizer, the model with its adapters, ready to train or to be
// asked.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/rendezvous.h"
#include "lib/data/text_task.h"
#include "lib/models/load.h"
#include "lib/run/run_options.h"
#include "lib/text/tokenizer.h"
#include "lib/train/evaluate.h"
#include "lib/train/step.h"

namespace mtlora {

struct Session {
  RunOptions options;
  Json resolved;                        ///< every option with its value; what a checkpoint keeps
  std::unique_ptr<Task> task;           ///< of labels, with a classifier; or
  std::unique_ptr<TextTask> text_task;  ///< of texts to be written, with a language model
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<Classifier> classifier;
  std::shared_ptr<LanguageModel> language_model;
  LoadReport loaded;
  Trained trained;
  std::unique_ptr<backend::ShardPool> pool;  ///< of threads that compute
  int threads = 1;                           ///< that prepare and score texts
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat;
  World* world = nullptr;  ///< the processes that evaluate together; not the session's own
  std::unique_ptr<RecordedPasses> recorded = nullptr;  ///< of evaluations, on a device

  Model& model() const;
  /// What computes, in words: "2 threads", or the device's name.
  std::string place() const;
  const char* type_name() const { return dtype == torch::kFloat ? "fp32" : "bf16"; }
  /// {"device": "cpu" or "cuda", "dtype": "fp32" or "bf16", "threads": of all processes}:
  /// what auto has come to, and what the order of sums hangs on.
  Json computes() const;
  /// For results: versions, and what computes how.
  Json environment() const;
  /// Until the device has done what it was asked for.
  void wait() const;
  CollateOptions collate() const;
  EvaluateOptions evaluate() const;
  /// Token ids; warns about rows that were cut and, of a task with labels, left out: those of a
  /// text task are told by tell().
  EncodedSet encoded(const Dataset& data) const;
  EncodedSet encoded(const TextData& data) const;
  /// Throws Error unless the task is one of labels: what `command` needs.
  void require_labels(const char* command) const;
};

/// Whether a tensor is the output embedding under another name.
bool is_tied_embedding(const Session& session, const NamedTensor& t);

/// Says what reading a split has found: its notes, and the rows that were left out.
void tell(const TextData& data);

/// Builds everything a run needs, in a process that stands there among those of its run. Throws
/// Error.
Session open_session(const Json& config, const Rendezvous& place = {});

/// The optimizer of the session's options over what it trains. Throws Error where the method and
/// the optimizer do not go together.
std::unique_ptr<Optimizer> open_optimizer(const Session& session);

/// A Hugging Face folder as it is, its own head included, on the task of `request`.
Session open_model_session(const std::filesystem::path& folder, const ConfigSource& request);

/// Trained and total parameters by module, a table for people.
std::string parameters_text(Model& model);

}  // namespace mtlora
