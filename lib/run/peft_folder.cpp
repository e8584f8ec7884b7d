#include "lib/run/peft_folder.h"

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"
#include "lib/models/load.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kA = ".lora_A", kB = ".lora_B", kMagnitude = ".lora_magnitude_vector";
constexpr std::string_view kWeight = ".weight";

// A tensor's name without what PEFT puts around it.
std::string plain_name(std::string name) {
  constexpr std::string_view of_wrapper = ".base_layer";
  name.erase(0, kPeftPrefix.size());
  if (const size_t at = name.find(of_wrapper); at != std::string::npos)
    name.erase(at, of_wrapper.size());
  for (const std::string_view kind : {kA, kB, kMagnitude})
    if (name.ends_with(std::string(kind) + std::string(kWeight)))
      name.erase(name.size() - kWeight.size());
  return name;
}

// With all biases PEFT lists those of a module that it saves three times: as they are, again below
// the module's wrapper, and there as they were.
bool is_listed_again(const std::string& name) {
  return name.find(".modules_to_save.") != std::string::npos ||
         name.find(".original_module.") != std::string::npos;
}

}  // namespace

bool is_of_peft_layer(const std::string& name) {
  return name.ends_with(kA) || name.ends_with(kB) || name.ends_with(kMagnitude);
}

bool is_peft_folder(const fs::path& folder) {
  if (fs::exists(folder / "adapter_config.json")) return !fs::exists(folder / "state.json");
  if (!fs::is_directory(folder) || fs::exists(folder / "config.json")) return false;
  std::error_code unreadable;  // then nobody could name what is in it
  for (const auto& entry : fs::directory_iterator(folder, unreadable))
    if (fs::exists(entry.path() / "adapter_config.json", unreadable))
      fail("{}: holds an adapter of PEFT's in a folder of its own: name {}", folder.string(),
           entry.path().string());
  return false;
}

fs::path peft_weights(const fs::path& folder) {
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"})
    if (fs::is_regular_file(folder / name)) return folder / name;
  fail("{}: has an adapter_config.json, but no adapter_model.safetensors or adapter_model.bin",
       folder.string());
}

PeftFolder::PeftFolder(const fs::path& folder)
    : path_(folder),
      config_(folder / "adapter_config.json"),
      file_(open_weights(peft_weights(folder))),
      is_dora_(config_.flag("use_dora")),
      is_rslora_(config_.flag("use_rslora")) {
  collect_tensors();
  collect_layers();
}

void PeftFolder::collect_tensors() {
  const bool lists_again = config_.text("bias", "none") == "all";
  for (const TensorInfo& info : file_->tensors()) {
    if (!info.name.starts_with(kPeftPrefix))
      fail("{}: {} is no name that PEFT gives a tensor; it begins them with {}",
           file_->path().string(), info.name, kPeftPrefix);
    if (lists_again && info.name.ends_with(".bias") && is_listed_again(info.name)) continue;
    const std::string name = plain_name(info.name);
    if (!tensors_.emplace(name, info).second)
      fail("{}: two tensors are called {}", file_->path().string(), name);
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
    const PeftLayer layer{path, a.shape[0], config_.by_pattern("alpha_pattern", path, alpha)};
    if (!(layer.alpha > 0))
      fail("{}: the alpha of {} is {}; it should be above 0", config_.file().string(), path,
           layer.alpha);
    layers_.push_back(layer);
  }
  if (layers_.empty())
    fail("{}: holds no \"<layer>.lora_A.weight\", so it adapts no linear layer",
         file_->path().string());
}

double PeftFolder::scale(const PeftLayer& layer) const {
  const auto rank = static_cast<double>(layer.rank);
  return layer.alpha / (is_rslora_ ? std::sqrt(rank) : rank);
}

at::Tensor PeftFolder::read(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail("{}: has no {}", file_->path().string(), name);
  const at::Tensor value = file_->read(found->second.name).to(at::kFloat);
  if (!at::isfinite(value).all().item<bool>())
    fail("{}: {} holds numbers that are not finite", file_->path().string(), found->second.name);
  return value;
}

std::optional<int64_t> PeftFolder::outputs(const Family& family) const {
  for (const auto& [name, info] : tensors_)
    if (is_last_of_head(family, name) && name.ends_with(kWeight) && info.shape.size() == 2)
      return info.shape.front();
  return std::nullopt;
}

}  // namespace mtlora
