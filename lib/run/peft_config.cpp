#include "lib/run/peft_config.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "lib/core/error.h"
#include "lib/run/peft_pattern.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// Keys of LoraConfig that are read here, and those that say how an adapter was made, trained or is
// to be loaded, not what it computes.
const std::set<std::string> kKnown = {"alpha_pattern",
                                      "auto_mapping",
                                      "base_model_name_or_path",
                                      "bias",
                                      "corda_config",
                                      "ensure_weight_tying",
                                      "eva_config",
                                      "exclude_modules",
                                      "fan_in_fan_out",
                                      "inference_mode",
                                      "init_lora_weights",
                                      "layers_pattern",
                                      "layers_to_transform",
                                      "loftq_config",
                                      "lora_alpha",
                                      "lora_dropout",
                                      "lora_ga_config",
                                      "megatron_core",
                                      "modules_to_save",
                                      "peft_type",
                                      "peft_version",
                                      "qalora_group_size",
                                      "r",
                                      "rank_pattern",
                                      "revision",
                                      "runtime_config",
                                      "target_modules",
                                      "task_type",
                                      "use_dora",
                                      "use_rslora",
                                      "velora_config"};

// Beginnings that leave the base's weights as they are.
const std::set<std::string> kHarmlessStarts = {"gaussian", "orthogonal", "eva", "mica"};
// Those that take from them what they put into A and B, so that the adapter is for other weights
// than the base's: beginnings of their names.
const char* const kChangingStarts[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};

bool says_something(const Json& value) {
  return !value.is_null() && value != false && !(value.is_structured() && value.empty());
}

// The number of the repeated layer that a path belongs to: its first component of digits that
// stands behind two others; -1: none.
int64_t layer_number(const std::string& path) {
  size_t before = path.find('.');
  while (before != std::string::npos) {
    const size_t begin = path.find('.', before + 1);
    if (begin == std::string::npos) return -1;
    const size_t end = path.find('.', begin + 1);
    const std::string part = path.substr(begin + 1, end - begin - 1);
    const bool is_number =
        !part.empty() && part.size() < 10 &&
        std::all_of(part.begin(), part.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (is_number && end != std::string::npos) return std::stoll(part);
    before = begin;
  }
  return -1;
}

bool is_end_of(const std::string& name, const std::string& path) {
  return path == name || path.ends_with("." + name);
}

}  // namespace

PeftConfig::PeftConfig(fs::path file) : file_(std::move(file)), json_(read_json(file_)) {
  if (!json_.is_object()) fail("{}: expected an object", file_.string());
  const std::string type = text("peft_type", "");
  if (type != "LORA")
    fail("{}: \"peft_type\" is \"{}\": LoRA, rsLoRA and DoRA (\"LORA\") can be read",
         file_.string(), type);
  check_known();
  check_initialisation();
}

void PeftConfig::check_known() const {
  for (const auto& [key, value] : json_.items())
    if (!kKnown.contains(key) && says_something(value))
      fail("{}: \"{}\" is {}: it is not implemented, and the adapter would compute something else",
           file_.string(), key, value.dump());
}

void PeftConfig::check_initialisation() const {
  const Json* start = find("init_lora_weights");
  if (!start || start->is_boolean()) return;
  if (!start->is_string()) refuse("init_lora_weights", "true, false or a name");
  const std::string name = start->get<std::string>();
  if (kHarmlessStarts.contains(name)) return;
  for (const char* changing : kChangingStarts)
    if (name.starts_with(changing))
      fail(
          "{}: \"init_lora_weights\" is \"{}\", which has changed the base's weights: let PEFT "
          "convert it to a plain LoRA (save_pretrained with "
          "path_initial_model_for_weight_conversion)",
          file_.string(), name);
  fail("{}: \"init_lora_weights\" is \"{}\", which is not known here", file_.string(), name);
}

const Json* PeftConfig::find(const char* key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

void PeftConfig::refuse(const char* key, const std::string& wanted) const {
  fail("{}: \"{}\" should be {}, got {}", file_.string(), key, wanted, find(key)->dump());
}

bool PeftConfig::flag(const char* key) const {
  const Json* value = find(key);
  if (!value) return false;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

Json json_number(double value) {
  const bool is_whole = value == std::floor(value) && std::abs(value) < 1e15;
  return is_whole ? Json(static_cast<int64_t>(value)) : Json(value);
}

double PeftConfig::number(const char* key, double otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_number()) refuse(key, "a number");
  return value->get<double>();
}

std::string PeftConfig::text(const char* key, const std::string& otherwise) const {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_string()) refuse(key, "a string");
  return value->get<std::string>();
}

std::vector<std::string> PeftConfig::names(const char* key) const {
  const Json* value = find(key);
  if (!value) return {};
  const auto is_string = [](const Json& one) { return one.is_string(); };
  if (!value->is_array() || !std::all_of(value->begin(), value->end(), is_string))
    refuse(key, "a list of strings");
  return value->get<std::vector<std::string>>();
}

double PeftConfig::by_pattern(const char* patterns, const std::string& path,
                              double otherwise) const {
  const Json* all = find(patterns);
  if (!all) return otherwise;
  if (!all->is_object()) refuse(patterns, "an object");
  for (const auto& [pattern, value] : all->items()) {
    if (!value.is_number()) refuse(patterns, "an object of numbers");
    const std::optional<bool> fits = fits_pattern("(.*\\.)?(" + pattern + ")", path);
    if (!fits)
      fail("{}: \"{}\": \"{}\" is no regular expression that is read here as Python reads it",
           file_.string(), patterns, pattern.substr(0, 100));
    if (*fits) return value.get<double>();
  }
  return otherwise;
}

// Whether the list of names, or the regular expression of whole paths, holds a path.
bool PeftConfig::is_named(const char* key, const std::string& path) const {
  const Json* value = find(key);
  if (!value->is_string()) {
    const std::vector<std::string> all = names(key);
    return std::any_of(all.begin(), all.end(),
                       [&](const std::string& name) { return is_end_of(name, path); });
  }
  const std::optional<bool> fits = fits_pattern(value->get<std::string>(), path);
  return fits.value_or(std::string(key) == "target_modules");  // where it cannot be said
}

bool PeftConfig::is_of_a_layer(const std::string& path) const {
  const Json* value = find("layers_to_transform");
  if (!value || (value->is_array() && value->empty())) return true;
  const Json wanted = layer_number(path);
  if (value->is_number_integer()) return *value == wanted;
  if (!value->is_array()) refuse("layers_to_transform", "a whole number or a list of these");
  return std::find(value->begin(), value->end(), wanted) != value->end();
}

bool PeftConfig::is_adapted(const std::string& path) const {
  const Json* targets = find("target_modules");
  const Json* excluded = find("exclude_modules");
  if (excluded && is_named("exclude_modules", path)) return false;
  if (!targets || *targets == "all-linear") return true;
  if (!is_named("target_modules", path)) return false;
  if (targets->is_string()) return true;
  const std::vector<std::string> all = names("target_modules");
  return std::find(all.begin(), all.end(), path) != all.end() || is_of_a_layer(path);
}

}  // namespace mtlora
