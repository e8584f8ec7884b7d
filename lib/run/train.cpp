// train: a configuration → a run's folder.

#include <unistd.h>

#include <filesystem>
#include <tuple>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/log.h"
#include "lib/core/rendezvous.h"
#include "lib/core/signals.h"
#include "lib/run/alike.h"
#include "lib/run/environment.h"
#include "lib/run/job.h"
#include "lib/run/launch.h"
#include "lib/run/run_folder.h"
#include "lib/run/train_end.h"
#include "lib/train/broken_run.h"
#include "lib/train/first_gradients.h"
#include "lib/train/micro_batches.h"
#include "lib/train/parameters.h"
#include "lib/train/progress.h"
#include "lib/train/trainer.h"
#include "lib/train/world.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

fs::path run_folder(const TrainRequest& request) {
  if (!request.out.empty()) return request.out;
  if (request.config.files.empty()) fail("train needs --config FILE");
  return fs::path("runs") / fs::path(request.config.files.back()).stem();
}

RunLength run_length(const TrainOptions& t, const Job& job, int64_t batches_per_epoch) {
  const int64_t per_epoch = (batches_per_epoch - 1) / t.accumulate + 1;
  RunLength length;
  length.total_steps = total_steps(t, batches_per_epoch);
  length.evaluate_every_steps = t.evaluate_every_steps.value_or(per_epoch);
  length.save_every_steps = t.save_every_steps.value_or(length.evaluate_every_steps);
  length.log_every_steps = t.log_every_steps;
  length.accumulate = t.accumulate;
  length.skip_bad_steps = t.skip_bad_steps;
  length.patience = t.patience;
  length.best_by = t.best_by.value_or(job.main_metric());
  std::vector<std::string> known = job.metrics();
  known.push_back("loss");
  if (std::find(known.begin(), known.end(), length.best_by) == known.end())
    fail("/train/best_by: {}", unknown("metric", length.best_by, known));
  return length;
}

// adapter.start_from: the other checkpoint's tensors but for its head, which belongs to its task.
// Not needed where a run goes on: its own checkpoint holds what became of them.
void start_from(Session& s) {
  const auto& from = s.options.adapter.start_from;
  if (!from) return;
  require_checkpoint(*from);
  require_same_base(*from, s);
  NamedTensors wanted;
  std::vector<std::string> ignored = s.loaded.family->head;
  for (const NamedTensor& t : s.trained.tensors)
    if (!is_head(*s.loaded.family, t.name)) wanted.emplace_back(t.name, t.tensor);
  if (wanted.empty()) fail("/adapter/start_from: this configuration trains nothing but a head");
  restore_tensors(fs::path(*from) / "adapter.safetensors", wanted, ignored);
  log::info(fmt::format("the adapter starts from {}", *from));
}

// What the method starts from beside its draws; not where another run's adapter starts it.
void initialise(Session& s, Sampler& sampler, const Objective& objective) {
  if (s.options.adapter.start_from) return;
  initialise_from(micro_batches(sampler, 0, s.options.train.accumulate), s.model(), objective,
                  *s.trained.set);
}

std::vector<std::pair<std::string, EncodedSet>> dev_sets(Job& job, const TrainOptions& options,
                                                         Json& hashes) {
  std::vector<std::pair<std::string, EncodedSet>> sets;
  for (const std::string& split : job.splits()) {
    if (!split.starts_with("dev")) continue;
    SplitSet dev = job.load(split);
    hashes[split] = dev.hash;
    sets.emplace_back(split, std::move(dev.set));
  }
  if (sets.empty() && options.patience)
    fail("/train/patience: {} evaluations, but there is no dev set to evaluate; leave it null",
         *options.patience);
  if (sets.empty()) log::warn("there is no dev set: the last step counts as the best");
  return sets;
}

std::vector<std::string> arguments_of(const TrainRequest& request, const fs::path& folder) {
  std::vector<std::string> all{"train"};
  for (const std::string& file : request.config.files) all.insert(all.end(), {"--config", file});
  for (const std::string& a : request.config.assignments) all.insert(all.end(), {"--set", a});
  all.insert(all.end(), {"--out", folder.string()});
  if (request.resume) all.push_back("--resume");
  if (request.resume_or_start) all.push_back("--resume-or-start");
  return all;
}

// best/, where a kill came before the first last/, or where somebody has removed that: what it
// holds is not to be lost.
std::string checkpoint_of(const fs::path& folder) {
  for (const char* name : {"last", "best"})
    if (can_be_recovered(folder / name)) return name;
  return "";
}

// What every process restores, each from the folder as it sees it.
void resume(World& world, Trainer& trainer, const fs::path& folder) {
  const std::string name = checkpoint_of(folder);
  if (!name.empty()) trainer.resume(name);
  const auto step = static_cast<int>(trainer.state().step);
  if (world.largest(step) != -world.largest(-step))
    fail("{}: the processes find other checkpoints there: all need the same folder",
         folder.string());
  if (name == "best") log::warn("there is no last/: the run goes on from best/");
  log::info(!name.empty() ? fmt::format("resumed at step {}", step)
                          : fmt::format("{} holds no checkpoint yet: the run starts from the "
                                        "beginning",
                                        folder.string()));
}

// Where a step that is not finite may not be left out.
void check_skipping(const Session& s, const Optimizer& optimizer) {
  if (s.options.train.skip_bad_steps == 0) return;
  if (!optimizer.uses_gradients())
    fail("/train/skip_bad_steps: {} stops at the first loss that is not finite; leave it 0",
         s.options.optimizer.name);
  if (!s.trained.set->repeats())
    fail(
        "/train/skip_bad_steps: {} begins anew after a given step, which may not be left out; "
        "leave it 0",
        s.options.adapter.method.name);
}

// config.json has to hold the paths that were made absolute.
void check_current_folder(const Json& resolved) {
  try {
    std::ignore = resolved.dump();
  } catch (const Json::type_error&) {
    fail(
        "the current folder's path is not UTF-8, so config.json cannot hold what is named from it: "
        "train from another folder, or name model and data from the root");
  }
}

bool goes_on(const TrainRequest& request, const fs::path& folder) {
  return request.resume || (request.resume_or_start && holds_run(folder));
}

struct RunData {
  EncodedSet train;
  std::vector<std::pair<std::string, EncodedSet>> dev;
  Json hashes;  // of each split
};

RunData load_data(Job& job, const TrainOptions& options) {
  job.check();
  SplitSet train = job.load("train");
  Json hashes{{"train", train.hash}};
  auto dev = dev_sets(job, options, hashes);
  return {std::move(train.set), std::move(dev), std::move(hashes)};
}

// The folder is this run's from here on. Returns whether a run there goes on; nothing: it is
// finished.
std::optional<bool> take_folder(World& world, const TrainRequest& request, const Session& s,
                                const fs::path& folder, std::optional<FolderLock>& lock) {
  bool has_work = true, resumes = false;
  if (world.leads()) {
    lock.emplace(folder);
    resumes = goes_on(request, folder);  // another program may have begun it until now
    has_work = open_folder(folder, resumes, s.resolved);
  }
  if (world.largest(has_work ? 0 : 1) != 0) return std::nullopt;
  return world.largest(resumes ? 1 : 0) != 0;
}

void tell(const Session& s, const World& world, const EncodedSet& train, int64_t total_steps) {
  const TrainOptions& options = s.options.train;
  log::info(parameters_text(s.model()));
  log::info(fmt::format("{} examples, {} tokens; {} steps of {}; {}{}, {}", train.size(),
                        train.tokens(), total_steps, options.batch_size * options.accumulate,
                        world.size() > 1 ? fmt::format("{} processes of ", world.size()) : "",
                        s.place(), s.dtype == torch::kFloat ? "fp32" : "bf16"));
}

int train_in(World& world, const TrainRequest& request, const Json& config,
             const fs::path& folder) {
  if (world.leads()) check_folder(folder, goes_on(request, folder));
  Session s = open_session(config, world.place());
  s.world = &world;
  require_alike(world, s);
  const TrainOptions& options = s.options.train;
  const auto job = make_job(s);
  RunData data = load_data(*job, options);
  require_same_run(world, s, data.hashes);
  const auto seed = static_cast<uint64_t>(options.seed);
  Sampler sampler(data.train.size(), options.batch_size, seed, Sampler::Order::shuffled);
  const RunLength length = run_length(options, *job, sampler.steps_per_epoch());
  const Schedule schedule(s.options.schedule, length.total_steps);

  if (checkpoint_of(folder).empty()) start_from(s);
  s.trained.set->check({length.total_steps, 0, seed});
  const auto optimizer = open_optimizer(s);
  check_skipping(s, *optimizer);
  check_current_folder(s.resolved);

  // Whatever could be wrong with the request has shown by now: only here something is written.
  std::optional<FolderLock> lock;
  const std::optional<bool> resumes = take_folder(world, request, s, folder, lock);
  if (!resumes) return 0;
  if (world.leads()) log::also_to(folder / "log.txt");
  tell(s, world, data.train, length.total_steps);

  const auto objective = job->objective(data.train);
  TrainStep step(*objective, parameters_of(s.trained), *s.pool,
                 {options.clip, seed, true, s.trained.set.get(), &world});
  Trainer trainer(
      {s.trained.tensors, step, *optimizer, schedule, sampler, std::move(data.dev),
       [&](const EncodedSet& set) { return job->evaluate(set); }, s.resolved, s.loaded.fingerprint,
       s.computes(), data.hashes, *s.tokenizer, folder, *s.trained.set, seed, world},
      length);
  if (*resumes) resume(world, trainer, folder);
  if (trainer.state().step == 0) initialise(s, sampler, *objective);
  if (const int signal = trainer.run(); signal != 0) {
    log::info(fmt::format("stopped by {} after step {}; saved in {}; continue with --resume",
                          signal_name(signal), trainer.state().step, (folder / "last").string()));
    return 128 + signal;
  }
  return world.leads() ? finish_run(*job, s, trainer, data.hashes, folder) : 0;
}

// Why a run broke off, and what is left of it.
std::string text_of(const BrokenRun& broken, const fs::path& folder) {
  std::error_code ignored;
  const std::string why = broken.what();
  if (!fs::exists(folder / "last", ignored)) return why + "; nothing had been saved yet";
  const std::string how_on = broken.how_to_go_on.empty() ? "" : "; " + broken.how_to_go_on;
  return why + "; the last checkpoint is intact" + how_on;
}

// Every process reads the configuration by itself, what comes through a pipe only the first.
void check_readable_again(const TrainRequest& request) {
  for (const std::string& file : request.config.files)
    if (fs::exists(file) && !fs::is_regular_file(file) && !fs::is_directory(file))
      fail("--processes {}: each of them reads --config {}, which can be read once: name a file",
           request.processes, file);
}

}  // namespace

int train(const TrainRequest& request) {
  if (request.processes > 1) check_readable_again(request);
  const fs::path folder = run_folder(request);
  const Json config = gather_config(request.config);
  const RunOptions options = parse_run_options(config);  // before anything is created or loaded
  const Rendezvous place = rendezvous();
  if (request.processes > 1 && place.size > 1)
    fail("--processes {}: {} has started {} processes already", request.processes, place.source,
         place.size);
  if (request.processes > 1) {
    check_folder(folder, goes_on(request, folder));
    return launch(request.processes, arguments_of(request, folder));
  }
  catch_stop_signals();
  if (place.rank > 0) log::quiet(true);
  World world(place, options.train.timeout_seconds);
  try {
    return train_in(world, request, config, folder);
  } catch (const BrokenRun& e) {
    world.report_failure(e.what());
    throw Error(text_of(e, folder));
  } catch (const std::exception& e) {
    world.report_failure(e.what());
    throw;
  }
}

}  // namespace mtlora
