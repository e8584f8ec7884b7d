// bench: how fast a configuration trains and evaluates here. It writes nothing.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "lib/backend/cuda/runtime.h"
#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/data/sampler.h"
#include "lib/run/environment.h"
#include "lib/run/job.h"
#include "lib/run/profile.h"
#include "lib/train/micro_batches.h"
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
  if (out.contains("peak_device_memory_bytes"))
    fmt::print("{:<34} {:.0f} MiB\n", "peak memory of the device",
               out["peak_device_memory_bytes"].get<double>() / (1 << 20));
  for (const auto& [name, share] : out["phases"].items())
    fmt::print("{:<34} {:.1f} %\n", "share of " + name, 100 * share.get<double>());
}

}  // namespace

void bench(const BenchRequest& request) {
  if (request.steps < 1) fail("--steps: {} is not at least 1", request.steps);
  Session s = open_session(gather_config(request.config));
  if (request.profile && s.device.is_cpu())
    fail("--profile: shows what a CUDA device does; this run computes on the CPU");
  const TrainOptions& options = s.options.train;
  const auto job = make_job(s);
  const EncodedSet set = job->load("train").set;
  const auto seed = static_cast<uint64_t>(options.seed);
  Sampler sampler(set.size(), options.batch_size, seed, Sampler::Order::shuffled);
  const std::vector<Parameter> parameters = parameters_of(s.trained);
  const auto optimizer = open_optimizer(s);
  const auto objective = job->objective(set);
  TrainStep step(*objective, parameters, *s.pool, {options.clip, seed, true, s.trained.set.get()});

  // On a device, steps are recorded as batches of their sizes come along.
  const int64_t warm_up = s.device.is_cpu() ? std::max<int64_t>(5, request.steps / 10)
                                            : std::max<int64_t>(300, request.steps);
  // the method's plan is that of the run that is configured, of which these are the first steps
  const int64_t planned = total_steps(options, sampler.steps_per_epoch());
  s.trained.set->begin(
      {std::max(planned, warm_up + (request.profile ? 2 : 1) * request.steps), 0, seed});
  int64_t next = 0;
  Batches ahead = micro_batches(sampler, next, options.accumulate);
  const auto make_step = [&] {
    const Batches mine = std::exchange(ahead, micro_batches(sampler, next + 1, options.accumulate));
    return step.run(next++, mine, *optimizer, 1.0, BadStep::stops, &ahead);
  };
  double startup = 0;
  while (next < warm_up) {
    make_step();
    if (next == 1) startup = seconds_since_start();
  }
  s.wait();
  Totals totals;
  double begin = wall();
  for (int64_t i = 0; i < request.steps; ++i) totals.add(make_step());
  s.wait();
  totals.seconds = wall() - begin;
  Json profile;
  if (request.profile) {
    profile = profile_steps(s, request.steps, [&] {
      int64_t tokens = 0;
      for (int64_t i = 0; i < request.steps; ++i) tokens += make_step().tokens;
      return tokens;
    });
  }

  // Evaluation: of as many examples of the training set as were trained on, and at most all.
  const EncodedSet part = set.first(std::min(set.size(), std::max<int64_t>(256, totals.examples)));
  job->evaluate(part);
  begin = wall();
  job->evaluate(part);
  const double evaluation = wall() - begin;

  Json out = {{"steps_per_second", static_cast<double>(request.steps) / totals.seconds},
              {"examples_per_second", static_cast<double>(totals.examples) / totals.seconds},
              {"tokens_per_second", static_cast<double>(totals.tokens) / totals.seconds},
              {"evaluation_examples_per_second", static_cast<double>(part.size()) / evaluation},
              {"peak_memory_bytes", process_peak_memory_bytes()},
              {"startup_seconds", startup},
              {"phases", phases_json(totals)},
              {"environment", s.environment()}};
  if (!s.device.is_cpu()) out["peak_device_memory_bytes"] = backend::cuda::peak_memory();
  if (request.profile) out["profile"] = profile;
  if (request.json) {
    fmt::print("{}\n", out.dump());
    return;
  }
  print(out);
  if (request.profile) fmt::print("{}", profile_text(profile));
}

}  // namespace mtlora
