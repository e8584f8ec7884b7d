// An adapter as PEFT saves it, opened for reading: LoRA, rsLoRA or DoRA (its LoraConfig), and
// whatever of the model was trained beside. Names and keys as PEFT 0.21.2 writes and reads them
// (peft/utils/save_and_load.py, peft/tuners/lora).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/models/family.h"
#include "lib/run/peft_config.h"
#include "lib/weights/weight_file.h"

namespace mtlora {

/// Before every tensor's name.
constexpr std::string_view kPeftPrefix = "base_model.model.";

/// An adapted layer: ΔW = s B A with A [rank, in] and B [out, rank].
struct PeftLayer {
  std::string path;  ///< as the base model's checkpoint has it
  int64_t rank;
  double alpha;  ///< s is alpha / rank, for rsLoRA alpha / sqrt(rank)
};

/// Whether the folder holds an adapter of PEFT's, and no checkpoint of ours. Throws Error where it
/// holds nothing but such folders, as PEFT lays out adapters that are not called "default".
bool is_peft_folder(const std::filesystem::path& folder);
/// The file of its tensors. Throws Error where there is none.
std::filesystem::path peft_weights(const std::filesystem::path& folder);

class PeftFolder {
 public:
  /// Throws Error where something is missing, and for what would compute something else here.
  explicit PeftFolder(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return path_; }
  const PeftConfig& config() const { return config_; }
  const std::vector<PeftLayer>& layers() const { return layers_; }
  bool is_dora() const { return is_dora_; }
  bool is_rslora() const { return is_rslora_; }
  double scale(const PeftLayer& layer) const;  ///< of B A

  /// The tensors by the names that the base model's checkpoint has for what was trained whole, and
  /// "<layer>.lora_A", ".lora_B" and ".lora_magnitude_vector".
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  /// One of these, in fp32. Throws Error where there is none, or where it holds infinities or NaN.
  at::Tensor read(const std::string& name) const;

  /// Outputs of the head; nothing where it holds none.
  std::optional<int64_t> outputs(const Family& family) const;

 private:
  void collect_tensors();
  void collect_layers();

  std::filesystem::path path_;
  PeftConfig config_;
  std::unique_ptr<WeightFile> file_;
  std::map<std::string, TensorInfo> tensors_;  // each with its name in the file
  std::vector<PeftLayer> layers_;
  bool is_dora_ = false, is_rslora_ = false;
};

/// Whether one of its tensors is a layer's A, B or magnitude.
bool is_of_peft_layer(const std::string& name);

}  // namespace mtlora
