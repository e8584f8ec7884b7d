#include "lib/run/train_end.h"

#include <cmath>
#include <cstring>

#include "lib/core/files.h"
#include "lib/core/log.h"
#include "lib/core/signals.h"
#include "lib/run/train_result.h"
#include "lib/train/checkpoint.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// With the weights of the best checkpoint, as anyone has them who opens it.
Json final_scores(Job& job, const Session& s, const fs::path& folder) {
  if (job.final_split().empty()) return nullptr;
  const fs::path best = fs::exists(folder / "best") ? folder / "best" : folder / "last";
  restore_tensors(best / "adapter.safetensors", checkpoint_tensors(s.trained.tensors));
  return job.finish(folder);
}

// A correlation of constant answers, or with constant labels, has no value.
void warn_of_no_best(const Job& job, const Session& s, const RunState& state) {
  if (state.best_metrics.is_null() || !std::isnan(state.best_value)) return;
  log::warn(fmt::format(
      "{} was undefined in every evaluation, so best/ is the first of them; train.best_by names "
      "another metric, or loss",
      s.options.train.best_by.value_or(job.main_metric())));
}

}  // namespace

std::string signal_name(int signal) {
  return fmt::format("signal {} ({})", signal, strsignal(signal));
}

int finish_run(Job& job, const Session& s, const Trainer& trainer, const Json& hashes,
               const fs::path& folder) {
  Json result = train_result(trainer.state(), s, hashes), scores;
  try {
    scores = final_scores(job, s, folder);
  } catch (const Stopped&) {
    log::info(
        fmt::format("stopped by {} while texts were written; training is done and saved; --resume "
                    "writes them",
                    signal_name(stop_signal())));
    return 128 + stop_signal();
  }
  if (!scores.is_null()) result[job.final_split()] = scores;
  write_file(folder / "result.json", result.dump(2) + "\n");
  if (!scores.is_null()) print_scores(job.final_split(), scores["metrics"]);
  warn_of_no_best(job, s, trainer.state());
  print_result(trainer.state(), folder);
  return 0;
}

}  // namespace mtlora
