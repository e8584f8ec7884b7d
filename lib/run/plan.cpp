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

constexpr double kSeconds = 3;      // that steps are measured for, at least
constexpr int64_t kLeastSteps = 3;  // and so many of them
constexpr int64_t kExamples = 512;  // of a dev set, at most, that are evaluated for the time
constexpr int64_t kNewSizes = 300;  // steps until a device has met most sizes of batches

int64_t tokens_of(const EncodedSet& set, const std::vector<Item>& items) {
  int64_t tokens = 0;
  for (const Item& item : items) tokens += set.length(item.index);
  return tokens;
}

/// What all steps of a run compute.
struct Load {
  int64_t tokens = 0;
  int64_t largest_step = 0, largest = 0;  // tokens of its largest micro-batch
  std::vector<int64_t> of_step;           // tokens

  explicit Load(RunSetup& run) {
    for (int64_t step = 0; step < run.length.total_steps; ++step) {
      of_step.push_back(0);
      for (const auto& items : micro_batches(run.sampler, step, run.length.accumulate)) {
        const int64_t here = tokens_of(run.data.train, items);
        of_step.back() += here;
        if (here > largest) largest = here, largest_step = step;
      }
      tokens += of_step.back();
    }
  }
};

int64_t peak_memory(const Session& s) {
  return s.device.is_cpu() ? process_peak_memory_bytes() : backend::cuda::peak_memory();
}

/// The step with the largest micro-batch, without its update.
void compute_largest(RunSetup& run, TrainStep& step, const Load& load) {
  const Batches batches = micro_batches(run.sampler, load.largest_step, run.length.accumulate);
  std::vector<Tensor> gradients;
  if (run.optimizer->uses_gradients())
    step.gradients(load.largest_step, batches, gradients);
  else
    step.loss(load.largest_step, batches);
  run.session.wait();
}

/// Of all steps, by the first ones.
double training_seconds(RunSetup& run, TrainStep& step, const Load& load) {
  const int64_t total = run.length.total_steps;
  const int64_t warm_up =
      std::min(total - 1, run.session.device.is_cpu() ? kLeastSteps : kNewSizes);
  const BadStep bad = run.length.skip_bad_steps > 0 ? BadStep::is_skipped : BadStep::stops;
  const auto batches = [&](int64_t i) {
    return micro_batches(run.sampler, i, run.length.accumulate);
  };
  double seconds = 0;
  int64_t tokens = 0, measured = 0;
  PhaseClock clock;
  Batches ahead = batches(0);
  for (int64_t i = 0; i < total && (measured < kLeastSteps || seconds < kSeconds); ++i) {
    if (i == warm_up) run.session.wait(), clock = {};
    const Batches mine = std::move(ahead);
    if (i + 1 < total) ahead = batches(i + 1);
    step.run(i, mine, *run.optimizer, run.schedule.factor(i), bad,
             i + 1 < total ? &ahead : nullptr);
    if (i < warm_up) continue;
    clock.lap(seconds);
    tokens += load.of_step[static_cast<size_t>(i)];
    ++measured;
  }
  return seconds * static_cast<double>(load.tokens) / static_cast<double>(tokens);
}

/// The longest examples, as many as a batch of evaluation has.
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
    run.job->evaluate(set.chosen(longest(set, run.options().evaluation_batch_size)));
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

Json planned(RunSetup& run) {
  const Session& s = run.session;
  const Load load(run);
  Json sets = {{"train", set_json(run.data.train)}};
  for (const auto& [split, set] : run.data.dev) sets[split] = set_json(set);
  const int64_t evaluations =
      run.data.dev.empty() ? 0 : (run.length.total_steps - 1) / run.length.evaluate_every_steps + 1;
  const auto objective = run.job->objective(run.data.train);
  TrainStep step(*objective, parameters_of(s.trained), *s.pool, run.step_options());
  s.trained.set->begin({run.length.total_steps, 0, run.seed()});
  run.initialise(*objective);
  compute_largest(run, step, load);
  Json seconds = {{"training", training_seconds(run, step, load)},
                  {"evaluation", evaluation_seconds(run)}};
  const int64_t checkpoint = checkpoint_bytes(run);
  const std::optional<WritingCost> writing = run.job->writing_cost();
  seconds["writing"] = writing ? Json(writing->seconds) : Json();
  seconds["all"] = seconds["training"].get<double>() +
                   static_cast<double>(evaluations) * seconds["evaluation"].get<double>() +
                   (writing ? writing->seconds : 0);
  return {{"model", s.options.model.path},
          {"family", s.loaded.family->name},
          {"parameters", parameters_json(s.model())},
          {"data", sets},
          {"steps", run.length.total_steps},
          {"steps_per_epoch", (run.sampler.steps_per_epoch() - 1) / run.length.accumulate + 1},
          {"examples_per_step", run.options().batch_size * run.options().accumulate},
          {"evaluations", evaluations},
          {"texts", writing ? Json(writing->contexts) : Json()},
          {"largest_batch", {{"step", load.largest_step}, {"tokens", load.largest}}},
          {"peak_memory_bytes", peak_memory(s)},
          {"checkpoint_bytes", checkpoint},
          {"seconds", seconds},
          {"environment", s.environment()}};
}

std::string mebibytes(const Json& bytes) {
  return fmt::format("{:.1f} MiB", bytes.get<double>() / (1 << 20));
}

std::string counted(const Json& count, const std::string& what) {
  const auto n = count.get<int64_t>();
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

void print(const Json& plan, const Session& s) {
  const auto line = [](const std::string& name, const std::string& text) {
    fmt::print("{:<14}{}\n", name, text);
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
  line("steps", fmt::format("{} of {}, {} an epoch; {}", plan["steps"].get<int64_t>(),
                            counted(plan["examples_per_step"], "example"),
                            plan["steps_per_epoch"].get<int64_t>(),
                            counted(plan["evaluations"], "evaluation")));
  line("computed by", fmt::format("{}, {}", s.place(), s.dtype == torch::kFloat ? "fp32" : "bf16"));
  line("memory",
       fmt::format("{} with the largest batch ({} tokens, step {}); a long run keeps more",
                   mebibytes(plan["peak_memory_bytes"]),
                   plan["largest_batch"]["tokens"].get<int64_t>(),
                   plan["largest_batch"]["step"].get<int64_t>()));
  line("checkpoint", mebibytes(plan["checkpoint_bytes"]) + ", twice: best and last");
  const Json& seconds = plan["seconds"];
  std::string parts = fmt::format("{} of steps", duration_text(seconds["training"]));
  if (plan["evaluations"] > 0)
    parts += fmt::format(", {} an evaluation", duration_text(seconds["evaluation"]));
  if (!seconds["writing"].is_null())
    parts += fmt::format(", at most {} of {} at the end", duration_text(seconds["writing"]),
                         counted(plan["texts"], "text"));
  line("time", fmt::format("about {}: {}", duration_text(seconds["all"]), parts));
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
