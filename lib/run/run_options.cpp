#include "lib/run/run_options.h"

#include <algorithm>
#include <cstdlib>

#include "lib/core/error.h"
#include "lib/data/task.h"
#include "lib/optim/registry.h"
#include "lib/train/micro_batches.h"

namespace mtlora {
namespace fs = std::filesystem;

constexpr int64_t kLargestBatch = 1'000'000;  // far above what any memory holds

void ModelOptions::fields(Fields& f) {
  f("path", path,
    "The pretrained model: a folder as Hugging Face lays it out, a GGUF file, or a folder of one.",
    not_empty());
  f("dropout", dropout, "Overrides the dropout probabilities of the model's config.json.",
    at_least_zero_below(1));
}

void TrainOptions::fields(Fields& f) {
  f("epochs", epochs, "Passes over the training set.", at_least(1));
  f("max_steps", max_steps, "Optimizer steps; where given, `epochs` does not count.", at_least(1));
  f("batch_size", batch_size, "Examples of a micro-batch.", within(1, kLargestBatch));
  f("accumulate", accumulate,
    "Micro-batches of one optimizer step; equal to one batch of them all.", at_least(1));
  f("max_length", max_length,
    "Longest sequence in tokens, special ones included; longer ones are cut. With --model, and no "
    "length named, not more than the model takes.",
    at_least(2));
  f("max_overlong", max_overlong,
    "Texts of a split to learn from whose contexts leave no room for them in `max_length` that are "
    "left out, with a warning; more are an error.",
    at_least(0));
  f("seed", seed, "Decides the order of examples, initial values and dropout.", at_least(0));
  f("evaluate_every_steps", evaluate_every_steps,
    "Steps between evaluations; null: at the end of every epoch.", at_least(1));
  f("save_every_steps", save_every_steps,
    "Steps between saves of last/; null: at every evaluation.", at_least(1));
  f("log_every_steps", log_every_steps, "Steps between train events in metrics.jsonl.",
    at_least(1));
  f("tensorboard", tensorboard,
    "Write the train and eval events for TensorBoard too, into tensorboard/ of the run's folder.");
  f("patience", patience, "Stop after that many evaluations without a better score; null: never.",
    at_least(1));
  f("best_by", best_by,
    "The metric that decides what is best, or loss; null: the task's main metric.");
  f("evaluation_batch_size", evaluation_batch_size,
    "Examples of a batch in evaluation, at most: a CPU takes long ones in smaller batches.",
    within(1, kLargestBatch));
  f("clip", clip,
    "Largest global norm of the gradients; 0: no clipping. Optimizers without gradients do not "
    "look at it. LoRA-RITE's authors train with 0: lora_rite has a clip of its own.",
    not_negative());
  f("skip_bad_steps", skip_bad_steps,
    "Steps in a row whose loss or gradients are not finite that are left out (and counted) before "
    "the run stops; 0: it stops at the first. Of optimizers with gradients, and methods that do "
    "not "
    "begin anew on the way.",
    at_least(0));
  f("label_smoothing", label_smoothing, "Share of a target that is spread over all classes.",
    at_least_zero_below(1));
  f("threads", threads,
    "Parts of a batch computed at the same time, one thread each; null: one for each core that the "
    "process may use, fewer where a container limits its time; processes of this machine that have "
    "the same cores share them. Where a CUDA device computes, threads that prepare texts.",
    within(1, 4096));
  f("timeout_seconds", timeout_seconds,
    "Of a run of several processes: how long one waits for the others before it gives up.",
    positive());
  f("device", device,
    "Where to compute; auto is a CUDA device where the build can use one and one is visible, else "
    "the "
    "CPU.",
    one_of({"auto", "cpu", "cuda"}));
  f("dtype", dtype,
    "Type of activations and frozen weights; auto is bf16 where the hardware multiplies it faster.",
    one_of({"auto", "fp32", "bf16"}));
}

void GenerateOptions::fields(Fields& f) {
  decoding.fields(f);
  f("separator", separator,
    "A text begins behind its context and the end-of-text token, as training has it, and ends at "
    "the first blank line. false: a prompt is continued as it is; so it is, unless told otherwise, "
    "with --model and no task.");
  f("batch_size", batch_size, "Prompts decoded together by one thread.", within(1, kLargestBatch));
  f("final_split", final_split,
    "The split whose texts are written and scored when training is done; null: none.");
}

void ScoreSection::fields(Fields& f) {
  f("missing_reference", missing_reference,
    "Texts with fewer references than others. none: scored against those that there are. first: "
    "the first stands for each that is missing, as LoRA's scripts have it; it weighs in the mean "
    "lengths of TER and NIST. empty: each is an empty text, as in the WebNLG challenge; BLEU's "
    "brevity is judged against length 0 too.",
    one_of({"none", "first", "empty"}));
  f("meteor_data", meteor_data,
    "Folder of METEOR 1.5's resources, as scripts/fetch_meteor makes it. Without its "
    "paraphrase-en.gz words are matched exactly, by stem and by synonym; null: exactly and by "
    "stem. The log says so: such scores are not METEOR 1.5's.");
}

void RunOptions::fields(Fields& f) {
  f("task", task, "What to learn, and where its data are.", task_kind());
  f("model", model, "The pretrained model.");
  f("adapter", adapter, "What is trained.");
  f("optimizer", optimizer, "How it is trained.", optimizer_kind());
  f("schedule", schedule, "The learning rate over time.");
  f("train", train, "How long, in what portions, on what.");
  f("generate", generate, "How texts are written, by data-to-text tasks.");
  f("score", score, "How written texts are scored.");
}

namespace {

fs::path find_config(const std::string& name) {
  std::vector<fs::path> places = {name};
  if (fs::path(name).is_relative()) {
    const char* shipped = std::getenv("MTLORA_CONFIGS");
    if (shipped) places.push_back(fs::path(shipped) / name);
    const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
    places.push_back(program / ".." / "configs" / name);
    places.push_back(program / ".." / "share" / "mtlora" / "configs" / name);
  }
  for (const fs::path& place : places)  // a pipe of the shell's, --config <(…), is fine too
    if (fs::exists(place) && !fs::is_directory(place)) return place;
  std::string looked;
  for (const fs::path& place : places) looked += "\n  " + place.lexically_normal().string();
  if (fs::is_directory(name))
    fail(
        "--config {}: is a folder, and a file is wanted; the options of a run are in its "
        "config.json",
        name);
  fail("--config {}: there is no such file; looked for{}", name, looked);
}

// Where an editor finds what `mtlora describe schema` prints. It says nothing to the program.
void take_off_schema(Json& config, const fs::path& file) {
  const auto found = config.find("$schema");
  if (found == config.end()) return;
  if (!found->is_string())
    fail("{}: /$schema: expected a string, got {}", file.string(), found->dump());
  config.erase(found);
}

// Whoever sets train.epochs by hand wants it to count, beside a max_steps of a file.
void check_epochs(const Json& config, const std::vector<std::string>& assignments) {
  const Json::json_pointer max_steps("/train/max_steps");
  if (!config.contains(max_steps) || config.at(max_steps).is_null()) return;
  const auto sets = [](const char* option) {
    return [option](const std::string& assignment) { return assignment.starts_with(option); };
  };
  if (std::any_of(assignments.begin(), assignments.end(), sets("train.max_steps="))) return;
  for (const std::string& assignment : assignments)
    if (sets("train.epochs=")(assignment))
      throw UsageError(
          fmt::format("--set {}: does not count beside train.max_steps={}; add --set "
                      "train.max_steps=null",
                      assignment, config.at(max_steps).dump()));
}

// Of an assignment to what is no option, `--set epochs=3`, where options of that name are.
void check_path(const std::string& assignment) {
  const std::string path = assignment.substr(0, assignment.find('='));
  const std::vector<std::string> known = option_paths();
  const auto is_within = [](const std::string& inside, const std::string& outside) {
    return inside == outside || inside.starts_with(outside + ".");
  };
  const auto last_of = [](const std::string& option) {
    return option.substr(option.rfind('.') + 1);
  };
  std::vector<std::string> names, sections, meant;
  for (const std::string& option : known) {
    if (is_within(option, path) || is_within(path, option)) return;
    names.push_back(last_of(option));
    sections.push_back(option.substr(0, option.find('.')));
  }
  const bool is_exact = std::find(names.begin(), names.end(), last_of(path)) != names.end();
  const bool is_in_section = path.find('.') != path.npos || !nearest(path, sections).empty();
  if (!is_exact && is_in_section) return;  // what is said of a section's keys is nearer
  const std::string name = is_exact ? last_of(path) : nearest(path, names);
  for (const std::string& option : known)
    if (last_of(option) == name) meant.push_back(option);
  if (!meant.empty())
    throw UsageError(fmt::format("--set {}: there is no option {}; did you mean {}?", assignment,
                                 path, fmt::join(meant, " or ")));
}

void set_from_command_line(Json& config, const std::string& assignment) {
  try {
    set_option(config, assignment);
  } catch (const Error& e) {
    throw UsageError(fmt::format("--set {}", e.what()));
  }
  check_path(assignment);
}

}  // namespace

Json gather_config(const ConfigSource& request, const Json& base) {
  Json config = base;
  for (const std::string& name : request.files) {
    const fs::path file = find_config(name);
    Json json = read_json(file);
    if (!json.is_object()) fail("{}: expected an object", file.string());
    take_off_schema(json, file);
    merge_config(config, json);
  }
  for (const std::string& assignment : request.assignments)
    set_from_command_line(config, assignment);
  check_epochs(config, request.assignments);
  return config;
}

int64_t total_steps(const TrainOptions& o, int64_t batches_per_epoch) {
  if (o.max_steps) return *o.max_steps;
  int64_t steps = 0;
  if (__builtin_mul_overflow(o.epochs, steps_of_epoch(batches_per_epoch, o.accumulate), &steps))
    fail("/train/epochs: {} is too many", o.epochs);
  return steps;
}

RunOptions parse_run_options(const Json& config) {
  return parse<RunOptions>(config);
}

RunOptions read_run_options(const std::filesystem::path& file) {
  const Json config = read_json(file);
  try {
    return parse_run_options(config);
  } catch (const Error& e) {
    fail("{}: {}", file.string(), e.what());
  }
}

}  // namespace mtlora
