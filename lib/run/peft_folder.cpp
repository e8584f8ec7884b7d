#include "lib/run/peft_folder.h"

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"
#include "lib/models/load.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A", kB = ".lora_B", kMagnitude = ".lora_magnitude_vector";

bool remove(std::string& name, std::string_view part) {
  const size_t at = name.find(part);
  if (at != std::string::npos) name.erase(at, part.size());
  return at != std::string::npos;
}

// A tensor's name without what PEFT puts around it.
std::string plain_name(std::string name) {
  name.erase(0, kPrefix.size());
  remove(name, ".base_layer");
  for (const std::string_view kind : {kA, kB, kMagnitude})
    if (name.ends_with(std::string(kind) + ".weight")) name.erase(name.size() - 7);
  return name;
}

Json number(double value) {
  return value == std::floor(value) ? Json(static_cast<int64_t>(value)) : Json(value);
}

// The first layer's value, and under their paths those that differ from it.
template <class Value>
void put_values(Json& options, const char* key, const std::vector<PeftLayer>& layers, Value value) {
  Json others = Json::object();
  for (const PeftLayer& layer : layers) {
    const Json own = value(layer);
    if (!options.contains(key)) options[key] = own;
    if (options[key] != own) others[layer.path] = own;
  }
  options[std::string(key) + "_pattern"] = others;
}

bool is_of_adapter(const std::string& name) {
  return name.ends_with(kA) || name.ends_with(kB) || name.ends_with(kMagnitude);
}

}  // namespace

bool is_peft_folder(const fs::path& folder) {
  return fs::exists(folder / "adapter_config.json") && !fs::exists(folder / "state.json");
}

fs::path peft_weights(const fs::path& folder) {
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"})
    if (fs::exists(folder / name)) return folder / name;
  fail("{}: has an adapter_config.json, but no adapter_model.safetensors or adapter_model.bin",
       folder.string());
}

PeftFolder::PeftFolder(const fs::path& folder)
    : config_(folder / "adapter_config.json"),
      file_(open_weights(peft_weights(folder))),
      is_dora_(config_.flag("use_dora")),
      is_rslora_(config_.flag("use_rslora")),
      bias_(config_.text("bias", "none")) {
  if (bias_ != "none" && bias_ != "all" && bias_ != "lora_only")
    fail("{}: \"bias\" should be none, all or lora_only, got \"{}\"", config_.file().string(),
         bias_);
  if (is_dora_ && bias_ == "lora_only")
    fail(
        "{}: \"bias\" is \"lora_only\" beside DoRA, whose adapters hold no biases here; of a plain "
        "LoRA it can be read",
        config_.file().string());
  collect_tensors();
  collect_layers();
}

void PeftFolder::collect_tensors() {
  // With all biases PEFT lists those of a module that it saves three times: as they are, again
  // below its own name, and as they were.
  std::vector<TensorInfo> again;
  for (const TensorInfo& info : file_->tensors()) {
    if (!info.name.starts_with(kPrefix))
      fail("{}: {} is no name that PEFT gives a tensor; it begins them with {}",
           file_->path().string(), info.name, kPrefix);
    std::string name = plain_name(info.name);
    if (name.find(".original_module.") != std::string::npos) continue;
    if (name.find(".modules_to_save.") != std::string::npos)
      again.push_back(info);
    else if (!tensors_.emplace(name, info).second)
      fail("{}: two tensors are called {}", file_->path().string(), name);
  }
  for (const TensorInfo& info : again) {
    std::string name = plain_name(info.name);
    remove(name, ".modules_to_save");
    tensors_.emplace(name, info);
  }
}

void PeftFolder::collect_layers() {
  const double rank = config_.number("r", 8), alpha = config_.number("lora_alpha", 8);
  for (const auto& [name, a] : tensors_) {
    if (!name.ends_with(kA)) continue;
    const std::string path = name.substr(0, name.size() - kA.size());
    const auto b = tensors_.find(path + std::string(kB));
    if (b == tensors_.end() || a.shape.size() != 2 || b->second.shape.size() != 2 ||
        a.shape[0] != b->second.shape[1])
      fail("{}: the lora_A and the lora_B of {} do not go together", file_->path().string(), path);
    const double told = config_.by_pattern("rank_pattern", path, rank);
    if (told != static_cast<double>(a.shape[0]))
      fail("{}: {} has rank {}, but {} says {}", file_->path().string(), path, a.shape[0],
           config_.file().filename().string(), told);
    layers_.push_back({path, a.shape[0], config_.by_pattern("alpha_pattern", path, alpha)});
  }
  if (layers_.empty()) fail("{}: holds no lora_A, so it adapts nothing", file_->path().string());
}

double PeftFolder::scale(const PeftLayer& layer) const {
  const auto rank = static_cast<double>(layer.rank);
  return layer.alpha / (is_rslora_ ? std::sqrt(rank) : rank);
}

at::Tensor PeftFolder::read(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail("{}: has no {}", file_->path().string(), name);
  return file_->read(found->second.name);
}

std::optional<int64_t> PeftFolder::outputs(const Family& family) const {
  for (const auto& [name, info] : tensors_)
    if (is_head(family, name) && info.shape.size() == 2 && !name.ends_with(".dense.weight"))
      return info.shape.front();
  return std::nullopt;
}

// Whether "bias" makes a tensor a trained one.
bool PeftFolder::is_bias_of_method(const std::string& name) const {
  if (bias_ == "none" || !name.ends_with(".bias")) return false;
  const std::string path = name.substr(0, name.rfind('.'));
  return bias_ == "all" || std::any_of(layers_.begin(), layers_.end(),
                                       [&](const PeftLayer& layer) { return layer.path == path; });
}

Json PeftFolder::method_options() const {
  Json method{{"name", is_dora_ ? "dora" : "lora"}, {"dropout", config_.number("lora_dropout", 0)}};
  put_values(method, "rank", layers_, [](const PeftLayer& layer) { return Json(layer.rank); });
  // Our DoRA has no flag for rsLoRA's scale: another alpha says the same.
  put_values(method, "alpha", layers_, [&](const PeftLayer& layer) {
    return number(is_dora_ && is_rslora_ ? scale(layer) * static_cast<double>(layer.rank)
                                         : layer.alpha);
  });
  if (is_dora_) return method;
  method["rslora"] = is_rslora_;
  method["bias"] = bias_;
  return method;
}

Json PeftFolder::adapter_options(const Family& family) const {
  const std::string wanted = family.classifier ? "SEQ_CLS" : "CAUSAL_LM";
  if (const std::string task = config_.text("task_type", wanted); task != wanted)
    fail("{}: \"task_type\" is \"{}\"; onto a {} model an adapter of \"{}\" can be put",
         config_.file().string(), task, family.name, wanted);
  std::vector<std::string> targets, trainable;
  for (const PeftLayer& layer : layers_) targets.push_back(layer.path);
  if (bias_ == "all" && is_dora_) trainable.push_back("bias");
  for (const auto& [name, info] : tensors_) {
    if (!is_of_adapter(name) && !is_head(family, name) && !is_bias_of_method(name))
      trainable.push_back(name);
  }
  return {{"targets", targets}, {"trainable", trainable}, {"method", method_options()}};
}

}  // namespace mtlora
