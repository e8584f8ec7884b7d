// Names ↔ tensors on disk: one view of every format that pretrained weights come in.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mtlora {

struct TensorInfo {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  std::string stored{};  ///< the type in the file where that is none of LibTorch's, "Q4_1"; else ""
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Bytes of a contiguous tensor of `shape`, or nothing where that, or a stride of it, is no int64.
std::optional<int64_t> contiguous_bytes(const std::vector<int64_t>& shape, size_t element_bytes);

/// An opened file, or folder of files, of weights. What is wrong with its description is found
/// when it is opened.
class WeightFile {
 public:
  virtual ~WeightFile() = default;

  /// In the order of the file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  bool has(const std::string& name) const { return index_.count(name) > 0; }
  /// On the CPU. Its memory may be the file's, mapped: read it, never write to it. It may outlive
  /// this object. Throws Error where there is no such tensor or its bytes cannot be read.
  at::Tensor read(const std::string& name) const;
  const std::filesystem::path& path() const { return path_; }
  /// What a safetensors file says beside its tensors; empty for other formats.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 protected:
  explicit WeightFile(std::filesystem::path path) : path_(std::move(path)) {}
  /// Throws Error where a name stands twice.
  void set_tensors(std::vector<TensorInfo> tensors);
  void set_metadata(std::map<std::string, std::string> metadata) {
    metadata_ = std::move(metadata);
  }

 private:
  virtual at::Tensor read_at(size_t index) const = 0;

  std::filesystem::path path_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

/// Opens a file by what it begins with (safetensors, torch.save, GGUF), or a Hugging Face folder:
/// its model.safetensors or pytorch_model.bin, or the index of several of either. Throws Error;
/// where there is nothing, it says what was looked for and where to get it.
std::unique_ptr<WeightFile> open_weights(const std::filesystem::path& folder_or_file);

}  // namespace mtlora
