#include "lib/run/open_session.h"

#include <algorithm>

#include "lib/core/cores.h"
#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/log.h"
#include "lib/data/task.h"
#include "lib/metrics/metric.h"
#include "lib/nn/names.h"
#include "lib/run/device.h"
#include "lib/run/own_head.h"
#include "lib/train/checkpoint.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// How many threads work on texts; as many compute, except where a device does.
int thread_count(const TrainOptions& options, const Rendezvous& place) {
  const int64_t cores = cores_for_each(cores_here(), place.local_size, place.started_alike);
  return static_cast<int>(options.threads.value_or(cores));
}

void check_lengths(const Session& s) {
  const int64_t longest = s.model().longest();
  if (s.options.train.max_length > longest)
    fail(
        "/train/max_length: {} tokens, but the model {} takes at most {}: --set "
        "train.max_length={}",
        s.options.train.max_length, s.options.model.path, longest, longest);
  if (s.tokenizer->vocab_size() > s.model().vocab_size())
    fail("{}: the tokenizer has {} tokens, the model's embeddings only {}", s.options.model.path,
         s.tokenizer->vocab_size(), s.model().vocab_size());
}

// Segments beyond the model's would be read behind the end of its table.
void check_segments(const Session& s) {
  const auto known = s.classifier ? s.classifier->segments() : std::nullopt;
  if (!known) return;
  const Template& frame = s.tokenizer->frame();
  int64_t needed = 0;
  for (const Template::Piece& piece : s.task->info().has_pair ? frame.pair : frame.single)
    needed = std::max<int64_t>(needed, piece.segment + 1);
  if (needed > *known)
    fail(
        "{}: the tokenizer tells {} segments of a text or pair apart, the model only {} "
        "(type_vocab_size)",
        s.options.model.path, needed, *known);
}

void log_loaded(const LoadReport& loaded) {
  std::vector<std::string> absent = loaded.initialised;
  std::erase_if(absent, [&](const std::string& name) {
    return std::find(loaded.replaced.begin(), loaded.replaced.end(), name) != loaded.replaced.end();
  });
  if (!absent.empty())
    log::info(fmt::format("new, not in the checkpoint: {}", fmt::join(absent, ", ")));
  if (!loaded.replaced.empty())
    log::info(fmt::format("new, as the checkpoint's head has another number of outputs: {}",
                          fmt::join(loaded.replaced, ", ")));
  if (!loaded.unused.empty())
    log::info(fmt::format("in the checkpoint, not used: {}", fmt::join(loaded.unused, ", ")));
}

// The configuration with every value, and with what depends on the place it was written in made
// absolute.
Json resolve(const RunOptions& options, const std::vector<std::string>& labels) {
  Json resolved = dump(options);
  const auto absolute = [](const std::string& path) {
    return path.empty() ? path : plain_path(fs::absolute(path)).string();
  };
  resolved["model"]["path"] = absolute(options.model.path);
  if (const auto& from = options.adapter.start_from)
    resolved["adapter"]["start_from"] = absolute(*from);
  if (const auto& meteor = options.score.meteor_data)
    resolved["score"]["meteor_data"] = absolute(*meteor);
  Json& task = resolved["task"];
  if (task.contains("data")) task["data"] = absolute(task["data"].get<std::string>());
  if (task.contains("labels")) task["labels"] = labels;
  return resolved;
}

void load_labelling(Session& s, const Opening& how) {
  s.task = start_task(s.options.task);
  if (how.learns) s.task->require("train");
  const TaskInfo& info = s.task->info();
  check_metrics(info.metrics, info.kind == TaskKind::classification ? info.labels.size() : 0);
  LoadOptions load{std::nullopt, s.options.model.dropout,
                   static_cast<uint64_t>(s.options.train.seed)};
  if (!how.is_alone) load.outputs = static_cast<int64_t>(info.outputs());
  LoadedClassifier loaded = load_classifier(s.options.model.path, load);
  s.classifier = std::move(loaded.model);
  s.loaded = std::move(loaded);
}

void load_writing(Session& s, const Opening& how) {
  s.text_task = start_text_task(s.options.task);
  if (how.learns) s.text_task->require("train");
  LoadedLanguageModel loaded = load_language_model(s.options.model.path, s.options.model.dropout);
  s.language_model = std::move(loaded.model);
  s.loaded = std::move(loaded);
}

}  // namespace

Session load(const Json& config, const Opening& how) {
  torch::set_num_threads(1);  // the pool's threads each compute a part of a batch by themselves
  Session s{.options = parse_run_options(config),
            .resolved = {},
            .task = {},
            .text_task = {},
            .tokenizer = {},
            .classifier = {},
            .language_model = {},
            .loaded = {nullptr, ModelConfig(Json::object(), ""), {}, {}, {}},
            .trained = {},
            .pool = {}};
  s.device = open_device(s.options, how.place.local_rank);
  s.dtype = compute_type(s.options.train, s.device);
  s.tokenizer = load_tokenizer(how.tokenizer.value_or(s.options.model.path));
  if (is_text_task(s.options.task.name))
    load_writing(s, how);
  else
    load_labelling(s, how);
  const bool names_length = config.contains("train") && config["train"].contains("max_length");
  if (how.fits_lengths && !names_length)
    s.options.train.max_length = std::min(s.options.train.max_length, s.model().longest());
  check_lengths(s);
  check_segments(s);
  return s;
}

void adapt(Session& s, const Opening& how) {
  std::vector<std::string> always = s.loaded.family->head;
  always.insert(always.end(), s.loaded.initialised.begin(), s.loaded.initialised.end());
  if (how.is_alone)
    for (Tensor& p : s.model().parameters()) p.set_requires_grad(false);
  else
    s.trained =
        inject(s.model(), s.options.adapter, static_cast<uint64_t>(s.options.train.seed), always);
  set_compute_type(s.model(), *s.loaded.family, s.dtype);
  if (!s.device.is_cpu()) move_to(s.device, s.model(), s.trained);
  meet_bases(s.model());
  s.resolved = resolve(s.options, s.task ? s.task->info().labels : std::vector<std::string>());
  s.threads = thread_count(s.options.train, how.place);
  s.pool = std::make_unique<backend::ShardPool>(s.device.is_cpu() ? s.threads : 1);
  backend::self_test(s.device, s.dtype);
}

Session open_with(const Json& config, const Opening& how) {
  Session s = load(config, how);
  adapt(s, how);
  return s;
}

bool has_own_head(const Session& s) {
  const auto& drawn = s.loaded.initialised;
  return s.task && std::none_of(drawn.begin(), drawn.end(), [&](const std::string& name) {
           return is_head(*s.loaded.family, name);
         });
}

Json with_own_task(Json config, std::optional<int64_t> outputs) {
  const Json task = config.value("task", Json::object());
  if (!task.is_object() || task.contains("name")) return config;
  // Nobody says that it has learned texts behind a separator.
  Json alone = {{"generate", {{"separator", false}}}};
  merge_config(alone, config);
  alone["task"] = own_task(ModelConfig(config["model"]["path"].get<std::string>()), task, outputs);
  return alone;
}

void settle(Session& s) {
  for (const Slot& slot : linear_slots(s.model())) slot.linear->settle();
  if (s.language_model) s.language_model->settle_head();
  if (s.device.is_cpu()) return;
  const bool repeats = !s.trained.set || s.trained.set->repeats();
  s.recorded = s.classifier ? recorded_evaluation(*s.classifier, repeats)
                            : recorded_evaluation(*s.language_model, repeats);
}

Session open_session(const Json& config, const Rendezvous& place) {
  Session s = open_with(config, {.learns = true, .place = place});
  log_loaded(s.loaded);
  if (has_own_head(s)) require_one_label(s.loaded.config), order_own_head(s);
  settle(s);
  return s;
}

Session open_model_session(const fs::path& folder, const ConfigSource& request) {
  Json config = gather_config(request);
  config["model"]["path"] = folder.string();
  Session s = open_with(with_own_task(config, {}), {.is_alone = true, .fits_lengths = true});
  log_loaded(s.loaded);
  if (s.task) require_one_label(s.loaded.config), check_own_head(s), order_own_head(s);
  settle(s);
  return s;
}

}  // namespace mtlora
