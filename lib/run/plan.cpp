// plan: what a run would be, hold and take. Its largest micro-batch, which needs the most memory,
// is computed first; the time is that of its first steps, token by token. It writes nothing.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "lib/backend/cuda/runtime.h"
#include "lib/run/environment.h"
#include "lib/run/plan_text.h"
#include "lib/run/run_setup.h"
#include "lib/train/micro_batches.h"
#include "lib/train/parameters.h"
#include "lib/train/phases.h"

namespace mtlora {
namespace {

constexpr double kSeconds = 3;         // that steps are measured for, at least
constexpr double kWarmUpSeconds = 5;   // that others come before them, at most
constexpr int64_t kNewSizes = 300;     // steps until a device has met most sizes of batches
constexpr int64_t kSeen = 20'000'000;  // examples among which the largest batch is looked for
constexpr int64_t kEvaluated = 512;    // of a dev set, at most, for the time

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
  return steps_of_epoch(run.sampler.steps_per_epoch(), run.length.accumulate);
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
    int64_t seen = 0;
    for (int64_t step = 0; step < total && seen < kSeen; ++step)
      for (const auto& items : batches_of(run, step)) {
        const int64_t here = tokens_of(run.data.train, {items});
        if (here > largest) largest = here, largest_step = step;
        seen += std::ssize(items);
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

/// Of one evaluation of all dev sets; 0 where there is none.
double evaluation_seconds(RunSetup& run) {
  double whole = 0;
  for (const auto& [split, set] : run.data.dev) {
    const int64_t at_once = run.options().evaluation_batch_size * run.session.pool->threads();
    run.job->evaluate(set.chosen(longest(set, at_once)));
    const int64_t count = std::min(set.size(), kEvaluated);
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
  return static_cast<int64_t>(run.session.tokenizer->saved_bytes()) +
         bytes_of(checkpoint_tensors(run.session.trained.tensors)) +
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
  Json seconds = {{"training", training_seconds(run, step, load, warm_up)},
                  {"evaluation", evaluation_seconds(run)}};
  const int64_t checkpoint = checkpoint_bytes(run);
  const std::optional<WritingCost> writing = run.job->writing_cost();
  seconds["writing"] = writing ? Json(writing->seconds) : Json();
  seconds["all"] = seconds["training"].get<double>() +
                   static_cast<double>(evaluations) * seconds["evaluation"].get<double>() +
                   (writing ? writing->seconds : 0);
  return {{"model", s.options.model.path},
          {"family", s.loaded.family->name},
          {"method", s.options.adapter.method.name},
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
          {"computed_by", fmt::format("{}, {}", s.place(), s.type_name())},
          {"peak_memory_bytes", peak_memory(s)},
          {"checkpoint_bytes", checkpoint},
          {"seconds", seconds},
          {"environment", s.environment()}};
}

}  // namespace

void plan(const PlanRequest& request) {
  World alone;
  RunSetup run(alone, gather_config(request.config), /*starts_from=*/true);
  const Json out = planned(run);
  fmt::print("{}", request.json ? out.dump() + "\n" : plan_text(out));
}

}  // namespace mtlora
