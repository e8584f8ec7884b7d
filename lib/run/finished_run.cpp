#include "lib/run/finished_run.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/core/error.h"
#include "lib/run/run_folder.h"
#include "lib/run/run_options.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

constexpr size_t kShownHash = 8;  // digits

// result.json with its name for messages.
struct ResultFile {
  fs::path file;
  Json json;

  const Json& at(const std::string& pointer) const {
    const Json::json_pointer place(pointer);
    if (!json.contains(place)) fail("{}: has no {}", file.string(), pointer);
    return json.at(place);
  }
  int64_t whole(const std::string& pointer) const {
    const Json& value = at(pointer);
    if (!value.is_number_integer()) fail("{}: {} is no whole number", file.string(), pointer);
    return value.get<int64_t>();
  }
  // null, for a run without a dev set, has none.
  void scores(const std::string& pointer, const std::string& prefix, Scores& out) const {
    const Json& values = at(pointer);
    if (values.is_null()) return;
    if (!values.is_object()) fail("{}: {} holds no metrics", file.string(), pointer);
    for (const auto& [name, value] : values.items()) {
      if (value.is_object())
        scores(pointer + "/" + name, prefix + name + ".", out);
      else if (value.is_number())
        out.emplace_back(prefix + name, value.get<double>());
      else if (value.is_null())  // as JSON has what is undefined
        out.emplace_back(prefix + name, std::numeric_limits<double>::quiet_NaN());
      else
        fail("{}: {}/{} is no number", file.string(), pointer, name);
    }
  }
  Outcome outcome(const std::string& name) const {
    Outcome outcome{whole("/" + name + "/step"), {}};
    scores("/" + name + "/metrics", "", outcome.scores);
    return outcome;
  }
};

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// 16 where 16.0 or 16 was written, which are one value.
Json plain_numbers(const Json& value) {
  Json plain = value;
  if (value.is_structured())
    for (Json& inside : plain) inside = plain_numbers(inside);
  constexpr double kExact = 9e15;  // whole numbers up to here are doubles
  if (!value.is_number_float() || std::abs(value.get<double>()) > kExact) return plain;
  const auto whole = static_cast<int64_t>(value.get<double>());
  return static_cast<double>(whole) == value.get<double>() ? Json(whole) : plain;
}

// {"adapter.method.rank", 8} and so on: sections and choices are opened, the values of options not.
void collect_options(const Json& section, const std::string& prefix,
                     std::vector<std::pair<std::string, Json>>& out) {
  for (const auto& [key, value] : section.items()) {
    const bool is_section = value.is_object() && (prefix.empty() || value.contains("name"));
    if (is_section)
      collect_options(value, prefix + key + ".", out);
    else
      out.emplace_back(prefix + key, plain_numbers(value));
  }
}

// Of the weights that the run began from; older results do not say it, their checkpoints do.
std::string base_of(const fs::path& folder, const ResultFile& result) {
  if (result.json.contains("base")) return text_of(result.json["base"]);
  for (const char* checkpoint : {"best", "last"})
    if (const fs::path state = folder / checkpoint / "state.json"; fs::exists(state))
      if (const Json json = read_json(state); json.is_object() && json.contains("fingerprint"))
        return text_of(json["fingerprint"]);
  return "";
}

// {"train": hash, …}, that of the final split too where there is one.
Json data_of(const ResultFile& result, const std::string& final_split) {
  Json hashes = result.at("/data");
  if (result.json.contains(final_split) && hashes.is_object())
    hashes[final_split] = result.at("/" + final_split + "/data");
  return hashes;
}

std::string short_hashes(const Json& hashes) {
  std::vector<std::string> parts;
  if (hashes.is_object())
    for (const auto& [split, hash] : hashes.items())
      parts.push_back(split + " " + text_of(hash).substr(0, kShownHash));
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool is_final_split(const Json& config, const Json& result) {
  const Json& split = config.at("generate").at("final_split");
  return split.is_string() && result.contains(split.get<std::string>()) &&
         result[split.get<std::string>()].is_object();
}

std::vector<Setting> settings_of(const Json& config, const ResultFile& result,
                                 const std::string& base, const Json& data) {
  std::vector<std::pair<std::string, Json>> options;
  collect_options(config, "", options);
  const Json identity = identity_of(config);
  std::vector<Setting> settings;
  for (const auto& [option, value] : options) {
    std::string pointer = "/" + option;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    const std::string text = text_of(value);
    if (option == "train.seed") continue;
    if (option == "task.data")
      settings.push_back({option, data.dump(), text, short_hashes(data)});
    else if (option == "model.path")
      settings.push_back({option, base.empty() ? text : base, text, base.substr(0, kShownHash)});
    else if (option == "adapter.start_from")  // where it lies may differ from seed to seed
      settings.push_back(
          {option, value.is_null() ? "null" : "given", value.is_null() ? "null" : "given", ""});
    else if (option == "train.dtype")  // what "auto" came to
      settings.push_back({option, text_of(result.at("/environment/dtype")),
                          text_of(result.at("/environment/dtype")), ""});
    else if (identity.contains(Json::json_pointer(pointer)))
      settings.push_back({option, value.dump(), text, ""});
  }
  return settings;
}

void collect_runs(const fs::path& folder, std::vector<fs::path>& out) {
  if (holds_run(folder)) {
    out.push_back(folder);
    return;
  }
  std::error_code error;
  std::vector<fs::path> inside;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.is_directory(error)) inside.push_back(entry.path());
  if (error) fail("{}: cannot be looked into: {}", folder.string(), error.message());
  std::sort(inside.begin(), inside.end());
  for (const fs::path& one : inside)
    if (!fs::is_symlink(one) || holds_run(one)) collect_runs(one, out);  // links may go round
}

}  // namespace

std::vector<fs::path> run_folders(const fs::path& path) {
  if (!fs::exists(path)) fail("{}: there is no such folder", path.string());
  if (!fs::is_directory(path))
    fail("{}: no folder; a run is one, and one that holds runs may be named too", path.string());
  std::vector<fs::path> found;
  collect_runs(path, found);
  if (found.empty()) fail("{}: no run, and none below it", path.string());
  return found;
}

bool is_finished(const fs::path& run) {
  return fs::exists(run / "result.json");
}

FinishedRun read_finished_run(const fs::path& folder) {
  const Json config = dump(read_run_options(folder / "config.json"));
  const ResultFile result{folder / "result.json", read_json(folder / "result.json")};
  FinishedRun run;
  run.folder = folder;
  run.seed = config.at("train").at("seed").get<int64_t>();
  run.trained_parameters = result.whole("/trained_parameters");
  run.best = result.outcome("best");
  run.last = result.outcome("last");
  std::string final_split;
  if (is_final_split(config, result.json)) {
    final_split = config.at("generate").at("final_split").get<std::string>();
    result.scores("/" + final_split + "/metrics", final_split + ".", run.best.scores);
  }
  run.settings = settings_of(config, result, base_of(folder, result), data_of(result, final_split));
  return run;
}

}  // namespace mtlora
