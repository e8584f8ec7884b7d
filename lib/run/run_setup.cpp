#include "lib/run/run_setup.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/run/alike.h"
#include "lib/run/open_checkpoint.h"
#include "lib/run/peft_restore.h"
#include "lib/train/first_gradients.h"
#include "lib/train/micro_batches.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

RunLength run_length(const TrainOptions& t, const Job& job, int64_t batches_per_epoch) {
  if (int64_t examples = 0; __builtin_mul_overflow(t.batch_size, t.accumulate, &examples))
    fail("/train/accumulate: {} micro-batches of {} examples are too many", t.accumulate,
         t.batch_size);
  const int64_t per_epoch = steps_of_epoch(batches_per_epoch, t.accumulate);
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

// Whether a layer that PEFT adapts as one is several here, each with an adapter of its own.
bool adapts_parts(const PeftFolder& peft, const Session& s) {
  const std::vector<Slot> slots = linear_slots(s.model());
  const auto& layers = peft.layers();
  return std::any_of(layers.begin(), layers.end(), [&](const PeftLayer& layer) {
    const auto is_of = [&](const Slot& slot) { return slot.layer == layer.path; };
    return std::count_if(slots.begin(), slots.end(), is_of) > 1;
  });
}

void start_from_peft(const fs::path& folder, const Session& s, const NamedTensors& wanted) {
  const PeftFolder peft(folder);
  restore_peft(peft, s, wanted, s.loaded.family->head);
  if (adapts_parts(peft, s))
    log::info(
        "layers of several projections (c_attn: query, key, value) have one adapter in PEFT; here "
        "each projection starts with it and goes on by itself: more is trained than there");
}

// adapter.start_from: the tensors of another checkpoint, or of PEFT's, but for its head, which
// belongs to its task. Not needed where a run goes on: its own checkpoint holds what became of
// them.
void start_from(Session& s) {
  const auto& from = s.options.adapter.start_from;
  if (!from) return;
  const bool is_peft = is_peft_folder(*from);
  if (!is_peft) {
    require_checkpoint(*from);
    require_same_base(*from, s);
    require_same_method(*from, s.options, "a run that starts from it needs the same");
  }
  NamedTensors wanted;
  for (const NamedTensor& t : s.trained.tensors)
    if (!is_head(*s.loaded.family, t.name)) wanted.emplace_back(t.name, t.tensor);
  if (wanted.empty()) fail("/adapter/start_from: this configuration trains nothing but a head");
  if (is_peft)
    start_from_peft(*from, s, wanted);
  else
    restore_tensors(fs::path(*from) / "adapter.safetensors", wanted, s.loaded.family->head);
  log::info(fmt::format("the adapter starts from {}", *from));
}

std::vector<std::pair<std::string, EncodedSet>> dev_sets(Job& job, const TrainOptions& options,
                                                         Json& hashes) {
  std::vector<std::pair<std::string, EncodedSet>> sets;
  for (const std::string& split : job.splits()) {
    if (!split.starts_with("dev")) continue;
    SplitSet dev = job.load(split);
    if (dev.hash == hashes["train"])
      log::warn(
          fmt::format("{} holds the same bytes as train: what is best there is best at what "
                      "has been learned",
                      split));
    hashes[split] = dev.hash;
    sets.emplace_back(split, std::move(dev.set));
  }
  if (sets.empty() && options.patience)
    fail("/train/patience: {} evaluations, but there is no dev set to evaluate; leave it null",
         *options.patience);
  if (sets.empty() && options.best_by)
    fail("/train/best_by: {}, but there is no dev set to evaluate; leave it null",
         *options.best_by);
  if (sets.empty()) log::warn("there is no dev set: the last step counts as the best");
  return sets;
}

// Where a step that is not finite may not be left out.
void check_skipping(const Session& s, const Optimizer& optimizer) {
  if (s.options.train.skip_bad_steps == 0) return;
  if (!optimizer.uses_gradients())
    fail("/train/skip_bad_steps: {} stops at the first loss that is not finite; leave it 0",
         s.options.optimizer.name);
  if (!s.trained.set->may_leave_out_steps())
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

Session open_alike(World& world, const Json& config) {
  Session s = open_session(config, world.place());
  s.world = &world;
  require_alike(world, s);
  world.use_device(s.device);
  return s;
}

RunData load_data(World& world, const Session& s, Job& job) {
  SplitSet train = job.load("train");  // what is wrong with all files alike is best told of this
  job.check();
  Json hashes{{"train", train.hash}};
  auto dev = dev_sets(job, s.options.train, hashes);
  require_same_run(world, s, hashes);
  Json tokens{{"train", train.set.hash()}};
  for (const auto& [split, set] : dev) tokens[split] = set.hash();
  return {std::move(train.set), std::move(dev), std::move(hashes), std::move(tokens)};
}

}  // namespace

RunSetup::RunSetup(World& world, const Json& config, bool starts_from)
    : session(open_alike(world, config)),
      job(make_job(session)),
      data(load_data(world, session, *job)),
      sampler(data.train.size(), options().batch_size, seed(), Sampler::Order::shuffled),
      length(run_length(options(), *job, sampler.steps_per_epoch())),
      schedule(session.options.schedule, length.total_steps) {
  if (starts_from) start_from(session);
  session.trained.set->check({length.total_steps, 0, seed()});
  optimizer = open_optimizer(session);
  check_skipping(session, *optimizer);
  check_current_folder(session.resolved);
}

StepOptions RunSetup::step_options() const {
  return {options().clip, seed(), true, session.trained.set.get(), session.world};
}

void RunSetup::initialise(const Objective& objective) {
  if (session.options.adapter.start_from) return;
  initialise_from(micro_batches(sampler, 0, options().accumulate), session.model(), objective,
                  *session.trained.set);
}

}  // namespace mtlora
