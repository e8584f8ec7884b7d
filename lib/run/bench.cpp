// bench: how fast a configuration trains and evaluates here. It writes nothing.

#include <fmt/format.h>

#include <algorithm>

#include "lib/backend/cuda/runtime.h"
#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/core/processes.h"
#include "lib/data/sampler.h"
#include "lib/run/environment.h"
#include "lib/run/job.h"
#include "lib/run/profile.h"
#include "lib/train/micro_batches.h"
#include "lib/train/parameters.h"
#include "lib/train/phases.h"

namespace mtlora {
namespace {

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

// The first steps of the run that is configured, as `train` makes them.
class FirstSteps {
 public:
  /// The method's plan is the run's, or, where that is shorter, of `most` steps.
  FirstSteps(Session& session, Job& job, const EncodedSet& set, int64_t most)
      : s_(session),
        options_(session.options.train),
        sampler_(set.size(), options_.batch_size, seed(), Sampler::Order::shuffled),
        optimizer_(open_optimizer(session)),
        objective_(job.objective(set)),
        step_(*objective_, parameters_of(session.trained), *session.pool,
              {options_.clip, seed(), true, session.trained.set.get()}),
        ahead_(micro_batches(sampler_, 0, options_.accumulate)) {
    const int64_t planned = total_steps(options_, sampler_.steps_per_epoch());
    session.trained.set->begin({std::max(planned, most), 0, seed()});
  }

  StepReport make() {
    Batches after = micro_batches(sampler_, next_ + 1, options_.accumulate);
    const Batches mine = std::exchange(ahead_, std::move(after));
    return step_.run(next_++, mine, *optimizer_, 1.0, BadStep::stops, &ahead_);
  }

  Totals make(int64_t count) {
    Totals totals;
    PhaseClock clock;
    for (int64_t i = 0; i < count; ++i) totals.add(make());
    s_.wait();
    clock.lap(totals.seconds);
    return totals;
  }

 private:
  uint64_t seed() const { return static_cast<uint64_t>(options_.seed); }

  Session& s_;
  const TrainOptions& options_;
  Sampler sampler_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Objective> objective_;
  TrainStep step_;
  int64_t next_ = 0;
  Batches ahead_;
};

// Examples a second, of as many of the training set as were trained on, and at most all. On a
// device, of an evaluation that is like the ones before: recorded at the second.
double evaluation_speed(Job& job, const EncodedSet& set, int64_t trained, bool is_recorded) {
  const EncodedSet part = set.first(std::min(set.size(), std::max<int64_t>(256, trained)));
  job.evaluate(part);
  if (is_recorded) job.evaluate(part);
  PhaseClock clock;
  double seconds = 0;
  job.evaluate(part);
  clock.lap(seconds);
  return static_cast<double>(part.size()) / seconds;
}

Json measured(Session& s, const BenchRequest& request) {
  const auto job = make_job(s);
  const EncodedSet set = job->load("train").set;
  // On a device, steps are recorded as batches of their sizes come along.
  const int64_t warm_up = s.device.is_cpu() ? std::max<int64_t>(5, request.steps / 10)
                                            : std::max<int64_t>(300, request.steps);
  FirstSteps steps(s, *job, set, warm_up + (request.profile ? 2 : 1) * request.steps);
  steps.make();
  const double startup = seconds_since_start();
  steps.make(warm_up - 1);
  const Totals totals = steps.make(request.steps);
  const auto per_second = [&](int64_t count) {
    return static_cast<double>(count) / totals.seconds;
  };
  Json out = {{"steps_per_second", per_second(request.steps)},
              {"examples_per_second", per_second(totals.examples)},
              {"tokens_per_second", per_second(totals.tokens)},
              {"evaluation_examples_per_second", nullptr},
              {"peak_memory_bytes", nullptr},
              {"startup_seconds", startup},
              {"phases", phases_json(totals)},
              {"environment", s.environment()}};
  out["evaluation_examples_per_second"] =
      evaluation_speed(*job, set, totals.examples, !s.device.is_cpu());
  out["peak_memory_bytes"] = process_peak_memory_bytes();
  if (!s.device.is_cpu()) out["peak_device_memory_bytes"] = backend::cuda::peak_memory();
  if (request.profile)  // last: what the device can do is measured with memory of its own
    out["profile"] =
        profile_steps(s, request.steps, [&] { return steps.make(request.steps).tokens; });
  return out;
}

}  // namespace

void bench(const BenchRequest& request) {
  if (request.steps < 1) fail("--steps: {} is not at least 1", request.steps);
  Session s = open_session(gather_config(request.config));
  if (request.profile && s.device.is_cpu())
    fail("--profile: shows what a CUDA device does; this run computes on the CPU");
  const Json out = measured(s, request);
  if (request.json) {
    fmt::print("{}\n", out.dump());
    return;
  }
  print(out);
  if (request.profile) fmt::print("{}", profile_text(out["profile"]));
}

}  // namespace mtlora
