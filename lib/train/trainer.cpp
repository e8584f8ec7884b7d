#include "lib/train/trainer.h"

#include <chrono>
#include <cmath>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/core/signals.h"
#include "lib/metrics/metric.h"
#include "lib/train/micro_batches.h"
#include "lib/train/progress.h"

namespace mtlora {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_better(const std::string& by, double value, double best) {
  if (std::isnan(value)) return false;
  if (std::isnan(best)) return true;
  return by == "loss" || !metric(by).larger_is_better ? value < best : value > best;
}

std::string metrics_text(const Evaluation& e) {
  std::string text;
  for (const auto& [name, value] : e.metrics) text += fmt::format("  {} {:.4f}", name, value);
  return fmt::format("{}  loss {:.4f}", text, e.loss);
}

}  // namespace

Json RunState::to_json() const {
  return {{"step", step},
          {"best_step", best_step},
          {"best_value", std::isnan(best_value) ? Json() : Json(best_value)},
          {"evaluations_since_best", evaluations_since_best},
          {"examples", examples},
          {"loss_sum", loss_sum},
          {"loss_steps", loss_steps},
          {"metrics_bytes", metrics_bytes},
          {"skipped_steps", skipped_steps},
          {"bad_in_a_row", bad_in_a_row},
          {"stopped_early", stopped_early},
          {"seconds", seconds},
          {"best_metrics", best_metrics},
          {"last_metrics", last_metrics}};
}

RunState RunState::from_json(const Json& j) {
  RunState s;
  s.step = j.at("step");
  s.best_step = j.at("best_step");
  s.best_value = j.at("best_value").is_null() ? std::nan("") : j.at("best_value").get<double>();
  s.evaluations_since_best = j.at("evaluations_since_best");
  s.examples = j.at("examples");
  s.loss_sum = j.at("loss_sum");
  s.loss_steps = j.at("loss_steps");
  s.metrics_bytes = j.at("metrics_bytes");
  s.skipped_steps = j.value("skipped_steps", int64_t{0});  // not in checkpoints of before
  s.bad_in_a_row = j.value("bad_in_a_row", int64_t{0});
  s.stopped_early = j.at("stopped_early");
  s.seconds = j.at("seconds");
  s.best_metrics = j.at("best_metrics");
  s.last_metrics = j.at("last_metrics");
  return s;
}

bool Trainer::is_due(int64_t every) const {
  return state_.step == length_.total_steps || (every > 0 && state_.step % every == 0);
}

// Throws Error where the checkpoint is of other weights, data or tokens.
void Trainer::check_same(const Json& json, const std::filesystem::path& folder) const {
  if (json.value("fingerprint", "") != parts_.fingerprint)
    fail("{}: was trained on other base weights than those of this model", folder.string());
  if (json.value("data", Json()) != parts_.data_hashes)
    fail("{}: the data have changed since: {} there, {} now", folder.string(),
         json.value("data", Json()).dump(), parts_.data_hashes.dump());
  // A checkpoint of before lacks them.
  if (json.value("tokens", parts_.token_hashes) != parts_.token_hashes)
    fail("{}: the tokenizer makes other tokens of the same data than when it was trained",
         folder.string());
  for (const auto& [what, now] : parts_.computes.items()) {
    // A checkpoint of before may lack some.
    const Json before = json.value("computes", Json::object()).value(what, now);
    if (before != now)
      log::warn(
          fmt::format("the run was computed with {} {} until now, and goes on with {}: other bits",
                      what, before.dump(), now.dump()));
  }
}

void Trainer::resume(const std::string& name) {
  const std::filesystem::path folder = parts_.folder / name;
  has_no_last_ = name != "last";
  require_checkpoint(folder);
  const Json json = read_json(folder / "state.json");
  try {
    check_same(json, folder);
    state_ = RunState::from_json(json);
  } catch (const Json::exception&) {  // something is missing, or of another type
    fail("{}: is not the state of a run", (folder / "state.json").string());
  }
  restore_tensors(folder / "adapter.safetensors", checkpoint_tensors(parts_.trained));
  restore_tensors(folder / "state.safetensors", moving_state());
}

// What the next step depends on beside the trained tensors.
std::vector<std::pair<std::string, Tensor>> Trainer::moving_state() const {
  auto state = parts_.optimizer.state();
  for (auto& [name, tensor] : parts_.adapters.state())
    state.emplace_back("adapter/" + name, tensor);
  return state;
}

double Trainer::lr_of(int64_t step) const {
  return parts_.optimizer.lr() * parts_.schedule.factor(step) * parts_.adapters.lr_factor(step);
}

StepReport Trainer::one_step() {
  const BadStep bad =
      state_.bad_in_a_row < length_.skip_bad_steps ? BadStep::is_skipped : BadStep::stops;
  const auto batches = [&](int64_t step) {
    return micro_batches(parts_.sampler, step, length_.accumulate);
  };
  const Batches mine = ahead_ ? std::move(*ahead_) : batches(state_.step);
  ahead_.reset();
  if (state_.step + 1 < length_.total_steps) ahead_ = batches(state_.step + 1);
  return parts_.step.run(state_.step, mine, parts_.optimizer, parts_.schedule.factor(state_.step),
                         bad, ahead_ ? &*ahead_ : nullptr);
}

void Trainer::count_bad(const StepReport& report) {
  if (!report.skipped) {
    state_.bad_in_a_row = 0;
    return;
  }
  ++state_.skipped_steps;
  ++state_.bad_in_a_row;
  log::warn(
      fmt::format("step {}: the loss or a gradient is not finite: the step is left out ({} of "
                  "the {} in a row that train.skip_bad_steps allows)",
                  state_.step, state_.bad_in_a_row, length_.skip_bad_steps));
  write_event({{"event", "skipped"}, {"step", state_.step}});
}

void Trainer::open_events() {
  events_ = std::make_unique<EventLog>(parts_.folder / "metrics.jsonl", state_.metrics_bytes);
  if (parts_.tensorboard)
    tensorboard_ = std::make_unique<TensorBoard>(
        parts_.folder / "tensorboard", RunPosition{state_.step, state_.examples, state_.seconds});
}

void Trainer::write_event(const Json& event) {
  if (events_) events_->write(event);
  if (tensorboard_) tensorboard_->write(event, state_.seconds);
}

void Trainer::log_step(const StepReport& report) {
  if (!report.skipped) {
    state_.loss_sum += report.loss;
    ++state_.loss_steps;
  }
  if (!is_due(length_.log_every_steps) || state_.loss_steps == 0) return;
  Json event = {{"event", "train"},
                {"step", state_.step},
                {"loss", state_.loss_sum / static_cast<double>(state_.loss_steps)},
                {"lr", lr_of(state_.step - 1)},
                {"examples", state_.examples}};
  if (parts_.optimizer.uses_gradients() && !report.skipped)
    event["gradient_norm"] = report.gradient_norm;
  write_event(event);
  state_.loss_sum = 0;
  state_.loss_steps = 0;
}

void Trainer::evaluate_now() {
  for (size_t i = 0; i < parts_.dev.size(); ++i) {
    const auto& [split, set] = parts_.dev[i];
    const Evaluation e = parts_.evaluate(set);
    log::info(
        fmt::format("step {}/{}  {}{}", state_.step, length_.total_steps, split, metrics_text(e)));
    write_event({{"event", "eval"},
                 {"step", state_.step},
                 {"split", split},
                 {"metrics", e.metrics_json()},
                 {"loss", e.loss},
                 {"examples", e.examples}});
    Json metrics = e.metrics_json();
    metrics["loss"] = e.loss;
    if (i > 0) {
      state_.last_metrics[split] = metrics;
      continue;
    }
    state_.last_metrics = metrics;
    const double value = e.value(length_.best_by);
    ++state_.evaluations_since_best;
    if (state_.best_metrics.is_null() || is_better(length_.best_by, value, state_.best_value)) {
      state_.best_value = value;
      state_.best_step = state_.step;
      state_.evaluations_since_best = 0;
    }
  }
  if (parts_.dev.empty() || state_.best_step != state_.step) return;
  state_.best_metrics = state_.last_metrics;
  write_event({{"event", "checkpoint"}, {"step", state_.step}, {"kind", "best"}});
  save("best");
}

void Trainer::save(const std::string& name) {
  if (!parts_.world.leads()) return;
  events_->sync();  // a checkpoint is of no use without the events before it
  state_.metrics_bytes = events_->bytes();
  Json state = state_.to_json();
  state["fingerprint"] = parts_.fingerprint;
  state["data"] = parts_.data_hashes;
  state["tokens"] = parts_.token_hashes;
  state["computes"] = parts_.computes;
  save_checkpoint(parts_.folder / name, {parts_.config, state, checkpoint_tensors(parts_.trained),
                                         moving_state(), &parts_.tokenizer});
}

void Trainer::save_last() {
  write_event({{"event", "checkpoint"}, {"step", state_.step}, {"kind", "last"}});
  save("last");
}

int Trainer::run() {
  if (parts_.world.leads()) open_events();
  parts_.adapters.begin({length_.total_steps, state_.step, parts_.seed});
  if (has_no_last_) save_last();
  std::optional<Progress> progress;
  if (parts_.world.leads()) progress.emplace(ProgressOptions{length_.total_steps, state_.step});
  const int64_t examples_before = state_.examples;
  double since = now();
  while (state_.step < length_.total_steps && !state_.stopped_early) {
    const StepReport report = one_step();
    ++state_.step;
    state_.examples += report.examples;
    const double at = now();
    state_.seconds += at - std::exchange(since, at);
    count_bad(report);
    log_step(report);
    if (progress && !report.skipped)
      progress->update(state_.step, report.loss, lr_of(state_.step - 1),
                       state_.examples - examples_before);
    if (is_due(length_.evaluate_every_steps)) {
      evaluate_now();
      state_.stopped_early = length_.patience &&
                             state_.evaluations_since_best >= *length_.patience &&
                             state_.step < length_.total_steps;
      since = now();
    }
    const int signal = parts_.world.largest(stop_signal());
    // With a new best/ a new last/: a run that goes on from before it, and comes to other bits,
    // would leave best/ with weights that are not those of its best step.
    const bool is_best = !state_.best_metrics.is_null() && state_.best_step == state_.step;
    if (is_due(length_.save_every_steps) || state_.stopped_early || is_best) {
      save_last();
      since = now();
    } else if (signal != 0) {
      save("last");
    }
    if (signal != 0 && state_.step < length_.total_steps) {
      parts_.world.meet();  // who ends first has the others ended: not before all is saved
      return signal;
    }
  }
  return 0;
}

}  // namespace mtlora
