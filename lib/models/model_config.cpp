#include "lib/models/model_config.h"

#include "lib/core/error.h"
#include "lib/core/gguf_config.h"

namespace mtlora {
namespace fs = std::filesystem;

namespace {

fs::path config_file(const fs::path& folder) {
  const std::string what =
      "a Hugging Face model folder holds config.json, model.safetensors (or pytorch_model.bin) and "
      "the "
      "tokenizer's files; download all files of the model's page (such as FacebookAI/roberta-base) "
      "into it, "
      "or run scripts/fetch_minilm for the small default model";
  if (!fs::exists(folder)) fail("{}: there is no such model folder. {}", folder.string(), what);
  if (!fs::is_directory(folder))
    fail("{}: is neither a model folder nor a GGUF file. {}", folder.string(), what);
  if (fs::exists(folder / "config.json")) return folder / "config.json";
  if (fs::exists(folder / "adapter_config.json"))
    fail(
        "{}: holds an adapter of PEFT's, no model: name its base model here, and the adapter as "
        "--checkpoint of eval, predict, generate or export, or as adapter.start_from",
        folder.string());
  if (const auto files = gguf_files(folder); files.size() > 1)
    fail("{}: has no config.json, but {}", folder.string(), choice_of_gguf(files));
  fail("{}: has no config.json. {}", folder.string(), what);
}

}  // namespace

ModelConfig::ModelConfig(const fs::path& folder) {
  if (const fs::path place = model_place(folder); is_gguf(place)) {
    json_ = gguf_model_config(place);
    origin_ = place.string();
    return;
  }
  json_ = read_json(config_file(folder));
  origin_ = (folder / "config.json").string();
  if (!json_.is_object()) fail("{}: expected an object", origin_);
}

const Json& ModelConfig::find(const char* key) const {
  const auto found = json_.find(key);
  if (found == json_.end() || found->is_null()) fail("{}: the key \"{}\" is missing", origin_, key);
  return *found;
}

int64_t ModelConfig::integer(const char* key) const {
  const Json& value = find(key);
  if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > (1 << 30))
    fail("{}: \"{}\" should be a whole number from 0 to {}, got {}", origin_, key, 1 << 30,
         value.dump());
  return value.get<int64_t>();
}

double ModelConfig::number(const char* key) const {
  const Json& value = find(key);
  if (!value.is_number()) fail("{}: \"{}\" should be a number, got {}", origin_, key, value.dump());
  return value.get<double>();
}

std::string ModelConfig::text(const char* key) const {
  const Json& value = find(key);
  if (!value.is_string()) fail("{}: \"{}\" should be a string, got {}", origin_, key, value.dump());
  return value.get<std::string>();
}

double ModelConfig::number_or(const char* key, double otherwise) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? otherwise : number(key);
}

int64_t ModelConfig::integer_or(const char* key, int64_t otherwise) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? otherwise : integer(key);
}

double ModelConfig::dropout_or(const char* key, double otherwise) const {
  const double value = number_or(key, otherwise);
  if (!(value >= 0 && value < 1))
    fail("{}: \"{}\" should be at least 0 and below 1, got {}", origin_, key, value);
  return value;
}

double ModelConfig::epsilon_or(const char* key, double otherwise) const {
  const double value = number_or(key, otherwise);
  if (!(value >= 0)) fail("{}: \"{}\" should be at least 0, got {}", origin_, key, value);
  return value;
}

bool ModelConfig::flag_or(const char* key, bool otherwise) const {
  const auto found = json_.find(key);
  if (found == json_.end() || found->is_null()) return otherwise;
  if (!found->is_boolean())
    fail("{}: \"{}\" should be true or false, got {}", origin_, key, found->dump());
  return found->get<bool>();
}

std::string ModelConfig::text_or(const char* key, const std::string& otherwise) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? otherwise : text(key);
}

void ModelConfig::require(const char* key, const std::string& wanted) const {
  const std::string got = text_or(key, wanted);
  if (got != wanted)
    fail("{}: \"{}\" is \"{}\"; only \"{}\" is implemented for this model family", origin_, key,
         got, wanted);
}

void ModelConfig::require_off(const char* key) const {
  if (flag_or(key, false))
    fail("{}: \"{}\" is true, which is not implemented for this model family", origin_, key);
}

std::vector<std::string> ModelConfig::labels() const {
  const auto found = json_.find("id2label");
  if (found == json_.end() || !found->is_object()) return {};
  std::vector<std::string> labels(found->size());
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto label = found->find(std::to_string(i));
    if (label == found->end())
      fail("{}: \"id2label\" should name the labels 0 to {}, but it has no \"{}\"", origin_,
           labels.size() - 1, i);
    if (!label->is_string() && !label->is_number_integer())
      fail("{}: \"id2label\" should name the label {} by a text, got {}", origin_, i,
           label->dump());
    labels[i] = label->is_string() ? label->get<std::string>() : label->dump();
  }
  return labels;
}

}  // namespace mtlora
