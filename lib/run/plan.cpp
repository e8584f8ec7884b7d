// plan: what a run would be, hold and take. Its largest micro-batch, which needs the most memory,
// is computed first; the time is that of its first steps, token by token. It writes nothing.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "lib/backend/cuda/runtime.h"
#include "lib/core/error.h"
#include "lib/run/environment.h"
#include "lib/run/run_setup.h"
#include "lib/train/micro_batches.h"
#include "lib/train/parameters.h"
#include "lib/train/phases.h"
#include "lib/train/progress.h"

namespace mtlora {
namespace {

constexpr double kSeconds = 3;        // that steps are measured for, at least
constexpr double kWarmUpSeconds = 5;  // that others come before them, at most
constexpr int64_t kNewSizes = 300;    // steps until a device has met most sizes of batches
constexpr int64_t kSeenSteps =
    1'000'000;                      // of the run, among which the largest batch is looked for
constexpr int64_t kExamples = 512;  // of a dev set, at most, that are evaluated for the time

int64_t tokens_of(const EncodedSet& set, const Batches& batches) {
  int64_t tokens = 0;
  for (const auto& items : batches)
    for (const Item& item : items) tokens += set.length(item.index);
  return tokens;
}

Batches batches_of(RunSetup& run, int64_t step) {
  return micro_batches(run.sampler, step, run.length.accumulate);
}

int64_t steps_per_epoch(const RunSetup& run) {
  return (run.sampler.steps_per_epoch() - 1) / run.length.accumulate + 1;
}

/// What all steps of a run compute.
struct Load {
  double tokens = 0;
  int64_t largest_step = 0, largest = 0;  // tokens of its largest micro-batch

  explicit Load(RunSetup& run) {
    const int64_t total = run.length.total_steps, epoch = steps_per_epoch(run);
    const int64_t left = total % epoch;  // steps of the last epoch, where it is not whole
    tokens = static_cast<double>(total / epoch) * static_cast<double>(run.data.train.tokens());
    for (int64_t step = total - left; step < total; ++step)
      tokens += static_cast<double>(tokens_of(run.data.train, batches_of(run, step)));
    for (int64_t step = 0; step < std::min(total, kSeenSteps); ++step)
      for (const auto& items : batches_of(run, step)) {
        const int64_t here = tokens_of(run.data.train, {items});
        if (here > largest) largest = here, largest_step = step;
      }
  }
};

int64_t peak_memory(const Session& s) {
  return s.device.is_cpu() ? process_peak_memory_bytes() : backend::cuda::peak_memory();
}

BadStep bad_steps(const RunSetup& run) {
  return run.length.skip_bad_steps > 0 ? BadStep::is_skipped : BadStep::stops;
}

/// The step with the largest micro-batch; an optimizer by gradients does not move by it. Returns
/// the seconds.
double compute_largest(RunSetup& run, TrainStep& step, const Load& load) {
  const Batches batches = batches_of(run, load.largest_step);
  std::vector<Tensor> gradients;
  PhaseClock clock;
  double seconds = 0;
  if (run.optimizer->uses_gradients())
    step.gradients(load.largest_step, batches, gradients);
  else
    step.run(load.largest_step, batches, *run.optimizer, run.schedule.factor(load.largest_step));
  run.session.wait();
  clock.lap(seconds);
  return seconds;
}

/// Whether the first `done` steps, after so many seconds, are enough to begin to measure.
bool is_warm(const RunSetup& run, int64_t done, double seconds) {
  const int64_t wanted = run.session.device.is_cpu() ? 3 : kNewSizes;
  return done >= std::min(wanted, run.length.total_steps / 2) || seconds > kWarmUpSeconds;
}

/// Of all steps, by the first ones; `warm_up` seconds have been computed before.
double training_seconds(RunSetup& run, TrainStep& step, const Load& load, double warm_up) {
  const int64_t total = run.length.total_steps;
  double seconds = 0;
  int64_t tokens = 0;
  bool measures = false;
  PhaseClock clock;
  Batches ahead = batches_of(run, 0);
  for (int64_t i = 0; i < total && seconds < kSeconds; ++i) {
    if (!measures && is_warm(run, i, warm_up)) {
      run.session.wait();
      clock = {};
      measures = true;
    }
    const Batches mine = std::move(ahead);
    if (i + 1 < total) ahead = batches_of(run, i + 1);
    step.run(i, mine, *run.optimizer, run.schedule.factor(i), bad_steps(run),
             i + 1 < total ? &ahead : nullptr);
    clock.lap(measures ? seconds : warm_up);
    if (measures) tokens += tokens_of(run.data.train, mine);
  }
  return seconds * load.tokens / static_cast<double>(tokens);
}

/// The `count` longest examples.
std::vector<int64_t> longest(const EncodedSet& set, int64_t count) {
  std::vector<int64_t> all(static_cast<size_t>(set.size()));
  std::iota(all.begin(), all.end(), int64_t{0});
  const auto end = all.begin() + std::min(count, set.size());
  std::partial_sort(all.begin(), end, all.end(),
                    [&](int64_t a, int64_t b) { return set.length(a) > set.length(b); });
  return {all.begin(), end};
}

/// Of one evaluation of all dev sets.
double evaluation_seconds(RunSetup& run) {
  double whole = 0;
  for (const auto& [split, set] : run.data.dev) {
    const int64_t at_once = run.options().evaluation_batch_size * run.session.pool->threads();
    run.job->evaluate(set.chosen(longest(set, at_once)));
    const int64_t count = std::min(set.size(), kExamples);
    std::vector<int64_t> spread;
    for (int64_t i = 0; i < count; ++i) spread.push_back(i * set.size() / count);
    const EncodedSet some = set.chosen(spread);
    PhaseClock clock;
    double seconds = 0;
    run.job->evaluate(some);
    clock.lap(seconds);
    whole += seconds * static_cast<double>(set.tokens()) / static_cast<double>(some.tokens());
  }
  return whole;
}

int64_t bytes_of(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += tensor.numel() * tensor.element_size();
  return bytes;
}

int64_t checkpoint_bytes(RunSetup& run) {
  return bytes_of(checkpoint_tensors(run.session.trained.tensors)) +
         bytes_of(run.optimizer->state()) + bytes_of(run.session.trained.set->state());
}

int64_t longest_of(const EncodedSet& set) {
  return set.size() == 0 ? 0 : set.length(longest(set, 1)[0]);
}

Json set_json(const EncodedSet& set) {
  return {{"examples", set.size()},
          {"tokens", set.tokens()},
          {"longest", longest_of(set)},
          {"cut", set.truncated()}};
}

Json parameters_json(Model& model) {
  int64_t all = 0, trained = 0;
  for (const NamedTensor& t : named_tensors(model)) {
    all += t.tensor.numel();
    if (t.parameter.requires_grad()) trained += t.tensor.numel();
  }
  return {{"all", all}, {"trained", trained}};
}

double all_evaluations(int64_t count, const Json& seconds) {
  return count == 0 ? 0 : static_cast<double>(count) * seconds.get<double>();
}

Json planned(RunSetup& run) {
  const Session& s = run.session;
  const Load load(run);
  Json sets = {{"train", set_json(run.data.train)}};
  for (const auto& [split, set] : run.data.dev) sets[split] = set_json(set);
  const int64_t evaluations =
      run.data.dev.empty() ? 0 : (run.length.total_steps - 1) / run.length.evaluate_every_steps + 1;
  const auto objective = run.job->objective(run.data.train);
  TrainStep step(*objective, parameters_of(s.trained), *s.pool, run.step_options());
  run.initialise(*objective);
  s.trained.set->begin({run.length.total_steps, 0, run.seed()});
  const double warm_up = compute_largest(run, step, load);
  Json seconds = {{"training", training_seconds(run, step, load, warm_up)}, {"evaluation", Json()}};
  if (evaluations > 0) seconds["evaluation"] = evaluation_seconds(run);
  const int64_t checkpoint = checkpoint_bytes(run);
  const std::optional<WritingCost> writing = run.job->writing_cost();
  seconds["writing"] = writing ? Json(writing->seconds) : Json();
  seconds["all"] = seconds["training"].get<double>() +
                   all_evaluations(evaluations, seconds["evaluation"]) +
                   (writing ? writing->seconds : 0);
  return {{"model", s.options.model.path},
          {"family", s.loaded.family->name},
          {"parameters", parameters_json(s.model())},
          {"data", sets},
          {"steps", run.length.total_steps},
          {"steps_per_epoch", steps_per_epoch(run)},
          {"examples_per_step",
           std::min(run.data.train.size(), run.options().batch_size * run.options().accumulate)},
          {"evaluations", evaluations},
          {"patience", run.length.patience ? Json(*run.length.patience) : Json()},
          {"texts", writing ? Json(writing->contexts) : Json()},
          {"largest_batch", {{"step", load.largest_step}, {"tokens", load.largest}}},
          {"peak_memory_bytes", peak_memory(s)},
          {"checkpoint_bytes", checkpoint},
          {"seconds", seconds},
          {"environment", s.environment()}};
}

std::string size_text(const Json& bytes) {
  const double kib = bytes.get<double>() / 1024;
  return kib < 1024 ? fmt::format("{:.1f} KiB", kib) : fmt::format("{:.1f} MiB", kib / 1024);
}

std::string counted(const Json& count, const std::string& what) {
  const auto n = count.get<int64_t>();
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

void print(const Json& plan, const Session& s) {
  const auto line = [](const std::string& name, const std::string& text) {
    fmt::print("{:<16}{}\n", name, text);
  };
  const Json& parameters = plan["parameters"];
  line("model", fmt::format("{}: {}, {} parameters", s.options.model.path, s.loaded.family->name,
                            parameters["all"].get<int64_t>()));
  line("trained",
       fmt::format("{}, {:.3f} % ({})", parameters["trained"].get<int64_t>(),
                   100 * parameters["trained"].get<double>() / parameters["all"].get<double>(),
                   s.options.adapter.method.name));
  for (const auto& [split, set] : plan["data"].items()) {
    std::string text = fmt::format("{}, {}, {} at most", counted(set["examples"], "example"),
                                   counted(set["tokens"], "token"), set["longest"].get<int64_t>());
    if (set["cut"] > 0) text += fmt::format("; {} cut to that", counted(set["cut"], "example"));
    line(split, text);
  }
  // train.patience may end it before
  const std::string most = plan["patience"].is_null() ? "" : "at most ";
  line("steps", fmt::format("{}{} of {}, {} an epoch; {}{}", most, plan["steps"].get<int64_t>(),
                            counted(plan["examples_per_step"], "example"),
                            plan["steps_per_epoch"].get<int64_t>(), most,
                            counted(plan["evaluations"], "evaluation")));
  line("computed by", fmt::format("{}, {}", s.place(), s.type_name()));
  line("memory",
       fmt::format("{} with the largest batch ({} tokens, step {}); a long run keeps more",
                   size_text(plan["peak_memory_bytes"]),
                   plan["largest_batch"]["tokens"].get<int64_t>(),
                   plan["largest_batch"]["step"].get<int64_t>()));
  line("checkpoint", size_text(plan["checkpoint_bytes"]) + ", twice: best and last");
  const Json& seconds = plan["seconds"];
  std::string parts = fmt::format("{} of steps", duration_text(seconds["training"]));
  if (const auto count = plan["evaluations"].get<int64_t>(); count > 0)
    parts += fmt::format(", {} of evaluation",
                         duration_text(all_evaluations(count, seconds["evaluation"])));
  if (!seconds["writing"].is_null())
    parts += fmt::format(", at most {} for {} at the end", duration_text(seconds["writing"]),
                         counted(plan["texts"], "text"));
  line("time", fmt::format("{}about {}: {}; loading and saving are not counted", most,
                           duration_text(seconds["all"]), parts));
}

}  // namespace

void plan(const PlanRequest& request) {
  World alone;
  RunSetup run(alone, gather_config(request.config), /*starts_from=*/true);
  const Json out = planned(run);
  if (request.json)
    fmt::print("{}\n", out.dump());
  else
    print(out, run.session);
}

}  // namespace mtlora
