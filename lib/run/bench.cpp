// bench: how fast a configuration trains and evaluates here. It writes nothing.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/data/sampler.h"
#include "lib/run/environment.h"
#include "lib/run/job.h"
#include "lib/train/parameters.h"

namespace mtlora {
namespace {

double wall() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct Totals {
  Phases phases;
  int64_t examples = 0, tokens = 0;
  double seconds = 0;

  void add(const StepReport& r) {
    phases.collate += r.phases.collate;
    phases.forward += r.phases.forward;
    phases.backward += r.phases.backward;
    phases.update += r.phases.update;
    phases.wait += r.phases.wait;
    examples += r.examples;
    tokens += r.tokens;
  }
};

Json phases_json(const Totals& t) {
  const auto share = [&](double seconds) { return seconds / t.seconds; };
  return {{"collate", share(t.phases.collate)},
          {"forward", share(t.phases.forward)},
          {"backward", share(t.phases.backward)},
          {"update", share(t.phases.update)},
          {"wait", share(t.phases.wait)}};
}

void print(const Json& out) {
  fmt::print("{:<34} {:.2f}\n", "steps/s", out["steps_per_second"].get<double>());
  fmt::print("{:<34} {:.1f}\n", "examples/s", out["examples_per_second"].get<double>());
  fmt::print("{:<34} {:.0f}\n", "tokens/s", out["tokens_per_second"].get<double>());
  fmt::print("{:<34} {:.1f}\n", "evaluation examples/s",
             out["evaluation_examples_per_second"].get<double>());
  fmt::print("{:<34} {:.2f} s\n", "program begun to the first step done",
             out["startup_seconds"].get<double>());
  fmt::print("{:<34} {:.0f} MiB\n", "peak memory",
             out["peak_memory_bytes"].get<double>() / (1 << 20));
  for (const auto& [name, share] : out["phases"].items())
    fmt::print("{:<34} {:.1f} %\n", "share of " + name, 100 * share.get<double>());
}

}  // namespace

void bench(const BenchRequest& request) {
  if (request.steps < 1) fail("--steps: {} is not at least 1", request.steps);
  Session s = open_session(gather_config(request.config));
  const TrainOptions& options = s.options.train;
  const auto job = make_job(s);
  const EncodedSet set = job->load("train").set;
  const auto seed = static_cast<uint64_t>(options.seed);
  Sampler sampler(set.size(), options.batch_size, seed, Sampler::Order::shuffled);
  const std::vector<Parameter> parameters = parameters_of(s.trained);
  const auto optimizer = open_optimizer(s);
  const auto objective = job->objective(set);
  TrainStep step(*objective, parameters, *s.pool, {options.clip, seed, true, s.trained.set.get()});

  const int64_t warm_up = std::max<int64_t>(5, request.steps / 10);
  // the method's plan is that of the run that is configured, of which these are the first steps
  const int64_t planned = total_steps(options, sampler.steps_per_epoch());
  s.trained.set->begin({std::max(planned, warm_up + request.steps), 0, seed});
  double startup = 0;
  Totals totals;
  double begin = 0;
  for (int64_t i = 0; i < warm_up + request.steps; ++i) {
    if (i == warm_up) begin = wall();
    std::vector<Item> items;
    for (const Sampler::Draw& draw : sampler.batch(i)) items.push_back({draw.index, draw.position});
    const StepReport report = step.run(i, {items}, *optimizer, 1.0);
    if (i == 0) startup = seconds_since_start();
    if (i >= warm_up) totals.add(report);
  }
  totals.seconds = wall() - begin;

  // Evaluation: of as many examples of the training set as were trained on, and at most all.
  const EncodedSet part = set.first(std::min(set.size(), std::max<int64_t>(256, totals.examples)));
  job->evaluate(part);
  begin = wall();
  job->evaluate(part);
  const double evaluation = wall() - begin;

  const Json out = {
      {"steps_per_second", static_cast<double>(request.steps) / totals.seconds},
      {"examples_per_second", static_cast<double>(totals.examples) / totals.seconds},
      {"tokens_per_second", static_cast<double>(totals.tokens) / totals.seconds},
      {"evaluation_examples_per_second", static_cast<double>(part.size()) / evaluation},
      {"peak_memory_bytes", peak_memory_bytes()},
      {"startup_seconds", startup},
      {"phases", phases_json(totals)},
      {"environment", environment(s.dtype == torch::kFloat ? "fp32" : "bf16", s.pool->threads())}};
  if (request.json)
    fmt::print("{}\n", out.dump());
  else
    print(out);
}

}  // namespace mtlora
