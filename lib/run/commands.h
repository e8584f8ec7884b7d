// What the program can be asked to do. Each throws Error where the request is wrong; results go to
// stdout, everything else to stderr.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mtlora {

/// Config files (later ones laid over earlier ones) and PATH=VALUE assignments.
struct ConfigSource {
  std::vector<std::string> files, assignments;
};

struct TrainRequest {
  ConfigSource config;
  std::string out;               ///< the run's folder; "": runs/<name of the config>
  bool resume = false;           ///< the run there goes on
  bool resume_or_start = false;  ///< the same, or one is begun where there is none
  int processes = 1;             ///< of this machine that compute it together
};
/// Returns the exit code: 0, or 128 + the signal that stopped the run after it was saved.
int train(const TrainRequest& request);

struct PlanRequest {
  ConfigSource config;
  bool json = false;
};
/// What a run would be, hold and take, found by its largest step and its first ones.
void plan(const PlanRequest& request);

struct ModelSource {
  /// One of them: a checkpoint, ours or an adapter as PEFT saves it; or a model's folder.
  std::string checkpoint, model;
  ConfigSource config;
};

struct EvalRequest {
  ModelSource source;
  std::string split = "dev";
  bool json = false;
};
void eval(const EvalRequest& request);

struct PredictRequest {
  ModelSource source;
  std::string input;  ///< a file of lines (or .jsonl), "-" or "": stdin
  std::string split;  ///< or a split of the task
};
void predict(const PredictRequest& request);

struct GenerateRequest {
  ModelSource source;
  std::string input;  ///< a file of lines (or .jsonl), "-" or "": stdin
  std::string split;  ///< or a split of the task
};
void generate(const GenerateRequest& request);

/// Outputs and references in files (see lib/metrics/score_files.h), by metrics or a task's preset.
struct ScoreRequest {
  std::string hypotheses;
  std::vector<std::string> references;
  std::vector<std::string> metrics;  ///< "bleu", "chrf++", "bleu:variant=multi-bleu"
  std::string task;                  ///< e2e, webnlg or dart; "": none
  bool lowercase = false, tokenize = false;
  std::string missing_reference;  ///< empty, first or none; "": empty
  std::string meteor_data;        ///< METEOR's folder of resources
  bool segments = false;
  int64_t bootstrap = 0;
  int64_t seed = 0;
  bool json = false;
};
void score(const ScoreRequest& request);

struct ExportRequest {
  std::string checkpoint, out;    ///< out: a folder that is not there yet
  std::string format = "merged";  ///< or "peft"
  std::string base;               ///< of "peft": what it calls its base model; "": the path here
  ConfigSource config;            ///< laid over the checkpoint's: where its base lies now
};
/// Writes a folder, fp32: the model with its adapters folded in, as Hugging Face lays it out, whose
/// outputs are compared with those before; or the adapter as PEFT lays it out.
void export_model(const ExportRequest& request);

/// A model folder, a checkpoint, a run's folder or a weights file: what is in it.
void inspect(const std::string& path, bool json);

struct CompareRequest {
  std::vector<std::string> paths;    ///< folders of runs, or folders that hold such
  std::vector<std::string> metrics;  ///< to show; {}: all but those of a split's parts
  bool json = false;
};
/// What finished runs came to: mean and spread of those that differ in the seed alone. Runs that
/// cannot be read are left out, with a warning; then the exit code is 1, else 0.
int compare(const CompareRequest& request);

struct BenchRequest {
  ConfigSource config;
  int64_t steps = 100;
  bool json = false;
  bool profile = false;  ///< also what the device's time goes into; on a CUDA device
};
void bench(const BenchRequest& request);

/// What can be configured: config, schema, methods, tasks, metrics, models, optimizers. "": a list
/// of these.
void describe(const std::string& topic, bool json);
std::vector<std::string> describe_topics();
/// What --set takes, of every method, task and optimizer: "adapter.method.rank", …, sorted.
std::vector<std::string> option_paths();

}  // namespace mtlora
