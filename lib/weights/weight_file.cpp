#include "lib/weights/weight_file.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <set>

#include "lib/core/error.h"
#include "lib/weights/gguf.h"
#include "lib/weights/safetensors.h"
#include "lib/weights/sharded.h"
#include "lib/weights/torch_pickle.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

constexpr std::array kLookedFor{"model.safetensors", "model.safetensors.index.json",
                                "pytorch_model.bin", "pytorch_model.bin.index.json"};

std::string first_bytes(const fs::path& file, size_t count) {
  std::ifstream in(file, std::ios::binary);
  if (!in) fail("{}: cannot open", file.string());
  std::string bytes(count, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(count));
  bytes.resize(static_cast<size_t>(in.gcount()));
  return bytes;
}

// A pickle of version 2 whose first object is torch's magic number of ten bytes. The version alone
// could be the length of a safetensors file's header.
constexpr std::string_view kOldTorch = "\x80\x02\x8a\x0a";

std::unique_ptr<WeightFile> open_file(const fs::path& file) {
  const std::string name = file.filename().string();
  if (name.ends_with(".index.json")) return open_sharded(file);
  const std::string begin = first_bytes(file, 64);
  if (begin.starts_with("version https://git-lfs"))
    fail("{}: is only a Git LFS pointer; fetch the file itself with `git lfs pull`", file.string());
  if (begin.starts_with("PK\x03\x04") || begin.starts_with(kOldTorch)) return open_torch(file);
  if (begin.starts_with("GGUF")) return open_gguf(file);
  if (name.ends_with(".safetensors") || (begin.size() > 8 && begin[8] == '{'))
    return open_safetensors(file);
  fail("{}: is neither a safetensors file, nor a zip file of torch.save, nor a GGUF file",
       file.string());
}

// Files of weights that lie there, but under a name or in a format that is not looked for.
std::vector<std::string> others_in(const fs::path& folder) {
  static const std::set<std::string> endings{".safetensors", ".bin",     ".pt",   ".pth",  ".h5",
                                             ".msgpack",     ".partial", ".gguf", ".onnx", ".ckpt"};
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (endings.contains(entry.path().extension().string()))
      found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

[[noreturn]] void fail_without_weights(const fs::path& folder) {
  const auto others = others_in(folder);
  fail(
      "{}: no weights there: looked for {}{}; a model's page on https://huggingface.co has them "
      "under \"Files\"",
      folder.string(), fmt::join(kLookedFor, ", "),
      others.empty() ? "" : fmt::format(" (there is {})", fmt::join(others, ", ")));
}

}  // namespace

std::optional<int64_t> contiguous_bytes(const std::vector<int64_t>& shape, size_t element_bytes) {
  auto bytes = static_cast<int64_t>(element_bytes), strides = bytes;
  bool overflows = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    // LibTorch multiplies strides as if an empty dimension had one element.
    overflows |= __builtin_mul_overflow(strides, std::max<int64_t>(size, 1), &strides);
    bytes = overflows ? 0 : bytes * size;
  }
  return overflows ? std::nullopt : std::optional(bytes);
}

void WeightFile::set_tensors(std::vector<TensorInfo> tensors) {
  tensors_ = std::move(tensors);
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (!index_.emplace(tensors_[i].name, i).second)
      fail("{}: tensor \"{}\" stands there twice", path_.string(), tensors_[i].name);
}

at::Tensor WeightFile::read(const std::string& name) const {
  const auto found = index_.find(name);
  if (found != index_.end()) return read_at(found->second);
  std::vector<std::string> names;
  for (const auto& info : tensors_) names.push_back(info.name);
  const std::string near = nearest(name, names);
  fail("{}: no tensor \"{}\" among its {}{}", path_.string(), name, names.size(),
       near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
}

std::unique_ptr<WeightFile> open_weights(const fs::path& folder_or_file) {
  if (fs::is_regular_file(folder_or_file)) return open_file(folder_or_file);
  if (!fs::is_directory(folder_or_file))
    fail("{}: there is no such file or folder", folder_or_file.string());
  for (const char* name : kLookedFor)
    if (fs::exists(folder_or_file / name)) return open_file(folder_or_file / name);
  fail_without_weights(folder_or_file);
}

}  // namespace mtlora
