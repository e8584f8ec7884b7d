// train: a configuration → a run's folder.

#include <unistd.h>

#include <filesystem>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/log.h"
#include "lib/core/rendezvous.h"
#include "lib/core/signals.h"
#include "lib/run/launch.h"
#include "lib/run/run_folder.h"
#include "lib/run/run_setup.h"
#include "lib/run/train_end.h"
#include "lib/train/broken_run.h"
#include "lib/train/parameters.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

fs::path run_folder(const TrainRequest& request) {
  if (!request.out.empty()) return request.out;
  if (request.config.files.empty()) fail("train needs --config FILE");
  const fs::path config = request.config.files.back();
  std::error_code error;  // a file that is not there is found later
  if (fs::exists(config, error) && !fs::is_regular_file(config, error))
    throw UsageError(fmt::format(
        "--config {}: no file that a run could be called after; name its folder with --out",
        config.string()));
  return fs::path("runs") / config.stem();
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

bool goes_on(const TrainRequest& request, const fs::path& folder) {
  return request.resume || (request.resume_or_start && holds_run(folder));
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
                        s.place(), s.type_name()));
  if (!s.device.is_cpu() && world.size() > 1)
    log::info(fmt::format("gradients are summed by {}", world.sums_by()));
}

int train_in(World& world, const TrainRequest& request, const Json& config,
             const fs::path& folder) {
  if (world.leads()) check_folder(folder, goes_on(request, folder));
  RunSetup run(world, config, checkpoint_of(folder).empty());
  Session& s = run.session;

  // Whatever could be wrong with the request has shown by now: only here something is written.
  std::optional<FolderLock> lock;
  const std::optional<bool> resumes = take_folder(world, request, s, folder, lock);
  if (!resumes) return 0;
  if (world.leads()) log::also_to(folder / "log.txt");
  tell(s, world, run.data.train, run.length.total_steps);

  const auto objective = run.job->objective(run.data.train);
  TrainStep step(*objective, parameters_of(s.trained), *s.pool, run.step_options());
  Trainer trainer(
      {s.trained.tensors, step, *run.optimizer, run.schedule, run.sampler, std::move(run.data.dev),
       [&](const EncodedSet& set) { return run.job->evaluate(set); }, s.resolved,
       s.loaded.fingerprint, s.computes(), run.data.hashes, run.data.token_hashes, *s.tokenizer,
       folder, *s.trained.set, run.seed(), world, run.options().tensorboard},
      run.length);
  if (*resumes) resume(world, trainer, folder);
  if (trainer.state().step == 0) run.initialise(*objective);
  if (const int signal = trainer.run(); signal != 0) {
    log::info(fmt::format("stopped by {} after step {}; saved in {}; continue with --resume",
                          signal_name(signal), trainer.state().step, (folder / "last").string()));
    return 128 + signal;
  }
  return world.leads() ? finish_run(*run.job, s, trainer, run.data.hashes, folder) : 0;
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
