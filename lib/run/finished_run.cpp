#include "lib/run/finished_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "lib/core/error.h"
#include "lib/data/shown_text.h"
#include "lib/run/run_options.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// result.json, with its name for messages.
class ResultFile {
 public:
  explicit ResultFile(const fs::path& file) : file_(file), json_(read_json(file)) {}

  const Json& json() const { return json_; }
  const Json& at(const char* pointer) const {
    const Json::json_pointer place(pointer);
    if (!json_.contains(place)) fail("{}: has no {}", file_.string(), pointer);
    return json_.at(place);
  }
  int64_t whole(const char* pointer) const {
    const Json& value = at(pointer);
    if (!value.is_number_integer()) fail("{}: {} is no whole number", file_.string(), pointer);
    return value.get<int64_t>();
  }
  std::string text(const char* pointer) const {
    const Json& value = at(pointer);
    if (!value.is_string()) fail("{}: {} is no text", file_.string(), pointer);
    return value.get<std::string>();
  }
  // null, for a run without a dev set, has none.
  void add_scores(const Json& metrics, const std::string& prefix, Scores& out) const {
    if (metrics.is_null()) return;
    if (!metrics.is_object()) fail("{}: metrics that are no object", file_.string());
    for (const auto& [name, value] : metrics.items()) {
      if (value.is_object())
        add_scores(value, prefix + name + ".", out);
      else if (value.is_number())
        out.emplace_back(prefix + name, value.get<double>());
      else if (value.is_null())  // as JSON has what is undefined
        out.emplace_back(prefix + name, std::numeric_limits<double>::quiet_NaN());
      else
        fail("{}: the metric {} is no number", file_.string(), shown_text(prefix + name));
    }
  }

 private:
  fs::path file_;
  Json json_;
};

// Of the weights that the run began from; older results do not say it, their checkpoints do.
std::string base_of(const fs::path& folder, const ResultFile& result) {
  if (result.json().contains("base")) return result.text("/base");
  for (const char* checkpoint : {"best", "last"})
    if (const fs::path state = folder / checkpoint / "state.json"; fs::exists(state))
      if (const Json json = read_json(state); json.is_object() && json.contains("fingerprint"))
        return json["fingerprint"].is_string() ? json["fingerprint"] : "";
  return "";
}

// What METEOR's score says of itself.
std::string meteor_of(const Json& final_scores) {
  const Json::json_pointer note("/notes/meteor");
  return final_scores.contains(note) ? final_scores.at(note).dump() : "";
}

RunOrigins origins_of(const fs::path& folder, const ResultFile& result) {
  return {result.at("/data"), base_of(folder, result), result.text("/environment/dtype"),
          result.at("/environment").contains("device") ? "cuda" : "cpu", ""};
}

}  // namespace

bool is_finished(const fs::path& run) {
  return fs::exists(run / "result.json");
}

FinishedRun read_finished_run(const fs::path& folder) {
  const Json config = dump(read_run_options(folder / "config.json"));
  const ResultFile result(folder / "result.json");
  FinishedRun run;
  run.folder = folder;
  run.seed = config.at("train").at("seed").get<int64_t>();
  run.trained_parameters = result.whole("/trained_parameters");
  run.best.step = result.whole("/best/step");
  run.last.step = result.whole("/last/step");
  result.add_scores(result.at("/best/metrics"), "", run.best.scores);
  result.add_scores(result.at("/last/metrics"), "", run.last.scores);
  RunOrigins origins = origins_of(folder, result);
  const Json& split = config.at("generate").at("final_split");
  const std::string name = split.is_string() ? split : "";
  if (result.json().contains(name)) {
    const Json& final_scores = result.json()[name];
    if (!final_scores.is_object() || !final_scores.contains("metrics"))
      fail("{}: has no metrics of {}", (folder / "result.json").string(), name);
    result.add_scores(final_scores["metrics"], name + ".", run.best.scores);
    if (origins.data.is_object() && final_scores.contains("data"))
      origins.data[name] = final_scores["data"];
    origins.meteor = meteor_of(final_scores);
  }
  run.settings = settings_of(config, origins);
  return run;
}

}  // namespace mtlora
