#include "lib/train/checkpoint.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/glob.h"
#include "lib/weights/safetensors.h"

namespace mtlora {
namespace fs = std::filesystem;

namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void write_content(const fs::path& folder, const CheckpointContent& content) {
  write_safetensors(folder / "adapter.safetensors", content.trained, {{"format", "pt"}});
  write_safetensors(folder / "state.safetensors", content.optimizer);
  write_file_in_place(folder / "state.json", content.state.dump(2) + "\n");
  write_file_in_place(folder / "config.json", content.config.dump(2) + "\n");
  if (content.tokenizer) content.tokenizer->save(folder);
}

}  // namespace

void save_checkpoint(const fs::path& folder, const CheckpointContent& content) {
  const fs::path beside = folder.string() + ".partial";
  std::error_code error;
  fs::remove_all(beside, error);
  fs::create_directories(beside, error);
  if (error) fail("{}: cannot be created: {}", beside.string(), error.message());
  try {
    write_content(beside, content);
    replace_folder(beside, folder);
  } catch (...) {
    fs::remove_all(beside, error);
    throw;
  }
}

void require_checkpoint(const fs::path& folder) {
  if (!fs::exists(folder)) fail("{}: there is no such checkpoint", folder.string());
  for (const char* name : {"config.json", "state.json", "adapter.safetensors"})
    if (!fs::exists(folder / name))
      fail(
          "{}: is not a checkpoint: it has no {}. A run's folder holds its checkpoints in best/ "
          "and last/",
          folder.string(), name);
}

void restore_tensors(const fs::path& file, const NamedTensors& into,
                     const std::vector<std::string>& ignored) {
  restore_tensors(*open_weights(file), into, ignored);
}

void restore_tensors(const WeightFile& source, const NamedTensors& into,
                     const std::vector<std::string>& ignored) {
  std::map<std::string, std::vector<int64_t>> there;
  for (const TensorInfo& info : source.tensors()) there.emplace(info.name, info.shape);
  Problems problems;
  for (const auto& [name, tensor] : into) {
    const auto found = there.find(name);
    if (found == there.end())
      problems.add(fmt::format("  {}: missing", name));
    else if (tensor.sizes() != found->second)
      problems.add(fmt::format("  {}: shape {}, wanted {}", name, shape_text(found->second),
                               shape_text(tensor.sizes().vec())));
  }
  const auto is_ignored = [&](const std::string& name) {
    return std::any_of(ignored.begin(), ignored.end(),
                       [&](const std::string& p) { return glob_match(p, name); });
  };
  std::set<std::string> wanted;
  for (const auto& [name, tensor] : into) wanted.insert(name);
  for (const auto& [name, shape] : there)
    if (!wanted.contains(name) && !is_ignored(name))
      problems.add(fmt::format("  {}: not expected", name));
  problems.raise(
      fmt::format("{}: its tensors are not those of this configuration:", source.path().string()));
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : into) tensor.copy_(source.read(name));
}

NamedTensors checkpoint_tensors(const std::vector<NamedTensor>& trained) {
  NamedTensors tensors;
  for (const NamedTensor& t : trained) tensors.emplace_back(t.name, t.tensor);
  return tensors;
}

}  // namespace mtlora
