#include "lib/run/run_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/run/run_folder.h"
#include "lib/run/run_options.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

constexpr size_t kShownHash = 8;    // digits
constexpr int kMostBeginnings = 8;  // adapters that start from adapters, and those from others

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

using Options = std::vector<std::pair<std::string, Json>>;

// {"adapter.method.rank", 8} and so on: sections and choices are opened, the values of options not.
void collect_options(const Json& section, const std::string& prefix, Options& out) {
  for (const auto& [key, value] : section.items()) {
    const bool is_section = value.is_object() && (prefix.empty() || value.contains("name"));
    if (is_section)
      collect_options(value, prefix + key + ".", out);
    else
      out.emplace_back(prefix + key, plain_numbers(value));
  }
}

std::string short_hashes(const Json& hashes) {
  std::vector<std::string> parts;
  if (hashes.is_object())
    for (const auto& [split, hash] : hashes.items())
      parts.push_back(split + " " + text_of(hash).substr(0, kShownHash));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// The folder, and the files in it that the configuration names.
std::string data_text(const Json& task) {
  std::vector<std::string> names;
  for (const char* split : {"train", "dev", "test"})
    if (const auto name = task.find(split); name != task.end() && name->is_string())
      names.push_back(name->get<std::string>());
  const std::string folder = text_of(task.at("data"));
  return names.empty() ? folder : fmt::format("{}: {}", folder, fmt::join(names, ", "));
}

std::vector<Setting> settings_at(const Json& config, const RunOrigins& origins, int beginnings);

// Of the checkpoint, whatever its seed: adapters of several seeds may each start from one of its
// own. Of anything else, or what is not there any more, the path.
std::string start_identity(const std::string& path, int beginnings) {
  const fs::path folder(path);
  if (beginnings == 0 || !fs::exists(folder / "state.json")) return path;
  try {
    const Json state = read_json(folder / "state.json");
    const Json& computes = state.at("computes");
    const RunOrigins origins{state.at("data"), text_of(state.at("fingerprint")),
                             text_of(computes.at("dtype")), text_of(computes.at("device")), ""};
    const Json config = dump(read_run_options(folder / "config.json"));
    return fmt::format("{:016x}", name_key(key_of(settings_at(config, origins, beginnings - 1))));
  } catch (const Error&) {
    return path;
  } catch (const Json::exception&) {
    return path;
  }
}

std::vector<Setting> settings_at(const Json& config, const RunOrigins& origins, int beginnings) {
  Options options;
  collect_options(config, "", options);
  const Json compared = identity_of(config);
  std::vector<Setting> settings;
  for (const auto& [option, value] : options) {
    std::string pointer = "/" + option;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    const std::string text = text_of(value);
    if (option == "train.seed" || option == "train.save_every_steps") continue;
    if (option == "task.data")
      settings.push_back(
          {option, origins.data.dump(), data_text(config.at("task")), short_hashes(origins.data)});
    else if (option == "model.path" && origins.base.empty())
      settings.push_back({option, text, text, "weights not known"});
    else if (option == "model.path")
      settings.push_back({option, origins.base, text, origins.base.substr(0, kShownHash)});
    else if (option == "adapter.start_from")
      settings.push_back(
          {option, value.is_null() ? text : start_identity(text, beginnings), text, ""});
    else if (option == "score.meteor_data")
      settings.push_back({option, origins.meteor, text, origins.meteor});
    else if (option == "train.dtype")
      settings.push_back({option, origins.dtype, origins.dtype, ""});
    else if (option == "train.device")
      settings.push_back({option, origins.device, origins.device, ""});
    else if (compared.contains(Json::json_pointer(pointer)))
      settings.push_back({option, value.dump(), text, ""});
  }
  return settings;
}

}  // namespace

std::vector<Setting> settings_of(const Json& config, const RunOrigins& origins) {
  return settings_at(config, origins, kMostBeginnings);
}

std::string key_of(const std::vector<Setting>& settings) {
  std::string key;
  for (const Setting& s : settings) key += fmt::format("{}={}\n", s.option, s.identity);
  return key;
}

}  // namespace mtlora
