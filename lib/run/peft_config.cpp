#include "lib/run/peft_config.h"

#include <regex>
#include <set>

#include "lib/core/error.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// Keys of LoraConfig that are read here, and those that say how an adapter was made, trained or is
// to be loaded, not what it computes.
const std::set<std::string> kKnown = {"peft_type",
                                      "task_type",
                                      "base_model_name_or_path",
                                      "r",
                                      "lora_alpha",
                                      "rank_pattern",
                                      "alpha_pattern",
                                      "bias",
                                      "use_dora",
                                      "use_rslora",
                                      "init_lora_weights",
                                      "target_modules",
                                      "exclude_modules",
                                      "modules_to_save",
                                      "lora_dropout",
                                      "fan_in_fan_out",
                                      "layers_pattern",
                                      "layers_to_transform",
                                      "revision",
                                      "inference_mode",
                                      "auto_mapping",
                                      "peft_version",
                                      "loftq_config",
                                      "eva_config",
                                      "corda_config",
                                      "lora_ga_config",
                                      "velora_config",
                                      "qalora_group_size",
                                      "megatron_core",
                                      "runtime_config",
                                      "ensure_weight_tying"};

// Beginnings that leave the base's weights as they are. The others (PiSSA, OLoRA, CorDA, LoftQ, …)
// take from them what they put into A and B, so that the adapter is for other weights than the
// base's.
const std::set<std::string> kHarmlessStarts = {"true",       "false", "gaussian",
                                               "orthogonal", "eva",   "mica"};

bool says_something(const Json& value) {
  return !value.is_null() && value != false && !(value.is_structured() && value.empty());
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
  const std::string name = text("init_lora_weights", "");
  if (kHarmlessStarts.contains(name)) return;
  fail(
      "{}: \"init_lora_weights\" is \"{}\", which has changed the base's weights: let PEFT convert "
      "it to a plain LoRA (save_pretrained with path_initial_model_for_weight_conversion)",
      file_.string(), name);
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

double PeftConfig::by_pattern(const char* patterns, const std::string& path,
                              double otherwise) const {
  const Json* all = find(patterns);
  if (!all) return otherwise;
  if (!all->is_object()) refuse(patterns, "an object");
  for (const auto& [pattern, value] : all->items()) {
    if (!value.is_number()) refuse(patterns, "an object of numbers");
    try {
      if (std::regex_match(path, std::regex("(.*\\.)?(" + pattern + ")")))
        return value.get<double>();
    } catch (const std::regex_error&) {
      fail("{}: \"{}\" has a key that is no regular expression: \"{}\"", file_.string(), patterns,
           pattern);
    }
  }
  return otherwise;
}

}  // namespace mtlora
