#include "lib/run/plan_text.h"

#include <fmt/format.h>

#include "lib/train/progress.h"

namespace mtlora {
namespace {

int64_t whole(const Json& number) {
  return number.get<int64_t>();
}

std::string size_text(const Json& bytes) {
  const double kib = bytes.get<double>() / 1024;
  return kib < 1024 ? fmt::format("{:.1f} KiB", kib) : fmt::format("{:.1f} MiB", kib / 1024);
}

std::string counted(const Json& count, const std::string& what) {
  return fmt::format("{} {}{}", whole(count), what, whole(count) == 1 ? "" : "s");
}

std::string model_text(const Json& plan) {
  return fmt::format("{}: {}, {} parameters", plan["model"].get<std::string>(),
                     plan["family"].get<std::string>(), whole(plan["parameters"]["all"]));
}

std::string trained_text(const Json& plan) {
  const Json& parameters = plan["parameters"];
  return fmt::format("{}, {:.3f} % ({})", whole(parameters["trained"]),
                     100 * parameters["trained"].get<double>() / parameters["all"].get<double>(),
                     plan["method"].get<std::string>());
}

std::string set_text(const Json& set) {
  const std::string text = fmt::format("{}, {}, {} at most", counted(set["examples"], "example"),
                                       counted(set["tokens"], "token"), whole(set["longest"]));
  return set["cut"] == 0 ? text : text + "; " + counted(set["cut"], "example") + " cut to that";
}

std::string steps_text(const Json& plan, const std::string& most) {
  return fmt::format("{}{} of {}, {} an epoch; {}{}", most, whole(plan["steps"]),
                     counted(plan["examples_per_step"], "example"), whole(plan["steps_per_epoch"]),
                     most, counted(plan["evaluations"], "evaluation"));
}

std::string memory_text(const Json& plan) {
  const Json& batch = plan["largest_batch"];
  return fmt::format("{} with the largest batch ({}, step {}); a long run keeps more",
                     size_text(plan["peak_memory_bytes"]), counted(batch["tokens"], "token"),
                     whole(batch["step"]));
}

std::string time_text(const Json& plan, const std::string& most) {
  const Json& seconds = plan["seconds"];
  std::string parts = fmt::format("{} of steps", duration_text(seconds["training"]));
  if (const auto count = plan["evaluations"].get<double>(); count > 0)
    parts += fmt::format(", {} of evaluation",
                         duration_text(count * seconds["evaluation"].get<double>()));
  if (!seconds["writing"].is_null())
    parts += fmt::format(", at most {} for {} at the end", duration_text(seconds["writing"]),
                         counted(plan["texts"], "text"));
  return fmt::format("{}about {}: {}; loading and saving are not counted", most,
                     duration_text(seconds["all"]), parts);
}

}  // namespace

std::string plan_text(const Json& plan) {
  const std::string most = plan["patience"].is_null() ? "" : "at most ";  // it may end a run before
  std::string text;
  const auto line = [&](const std::string& name, const std::string& about) {
    text += fmt::format("{:<16}{}\n", name, about);
  };
  line("model", model_text(plan));
  line("trained", trained_text(plan));
  for (const auto& [split, set] : plan["data"].items()) line(split, set_text(set));
  line("steps", steps_text(plan, most));
  line("computed by", plan["computed_by"].get<std::string>());
  line(plan["environment"].contains("device") ? "GPU memory" : "memory", memory_text(plan));
  line("checkpoint", size_text(plan["checkpoint_bytes"]) + ", twice: best and last");
  line("time", time_text(plan, most));
  return text;
}

}  // namespace mtlora
