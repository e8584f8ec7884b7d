// {"weight_map": {tensor: file}}, the layout of Hugging Face transformers for large models.
#include "lib/weights/sharded.h"

#include "lib/core/error.h"
#include "lib/core/json.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

using Shards = std::map<std::string, std::vector<std::string>>;  // file → tensors it should hold

// A file is a plain name: an index points at nothing outside its folder, nor at another index.
Shards read_index(const fs::path& index) {
  const Json json = read_json(index);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    fail("{}: expected an object \"weight_map\" of tensor names and files", index.string());
  Shards shards;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || fs::path(name).filename() != name || name == "." || name == ".." ||
        name.ends_with(".index.json"))
      fail("{}: /weight_map/{}: expected the name of a file of weights beside it, got {}",
           index.string(), tensor, file.dump());
    shards[name].push_back(tensor);
  }
  if (shards.empty()) fail("{}: \"weight_map\" is empty", index.string());
  Problems missing;
  for (const auto& [file, tensors] : shards)
    if (!fs::exists(index.parent_path() / file)) missing.add("  " + file);
  missing.raise(fmt::format("{}: {} of its {} files are missing:", index.string(), missing.count(),
                            shards.size()));
  return shards;
}

class ShardedFile final : public WeightFile {
 public:
  explicit ShardedFile(const fs::path& index) : WeightFile(index) {
    std::vector<TensorInfo> all;
    Problems problems;
    for (const auto& [file, expected] : read_index(index)) {
      const WeightFile& shard = *files_.emplace_back(open_weights(index.parent_path() / file));
      for (const auto& name : expected)
        if (!shard.has(name)) problems.add(fmt::format("  {} lacks \"{}\"", file, name));
      if (shard.tensors().size() > expected.size())
        problems.add(fmt::format("  {} holds {} tensors, the index lists {}", file,
                                 shard.tensors().size(), expected.size()));
      all.insert(all.end(), shard.tensors().begin(), shard.tensors().end());
      file_of_.resize(all.size(), files_.size() - 1);
    }
    problems.raise(fmt::format("{}: does not fit its files:", index.string()));
    set_tensors(std::move(all));
  }

 private:
  at::Tensor read_at(size_t index) const override {
    return files_[file_of_[index]]->read(tensors()[index].name);
  }

  std::vector<std::unique_ptr<WeightFile>> files_;
  std::vector<size_t> file_of_;  // by tensor
};

}  // namespace

std::unique_ptr<WeightFile> open_sharded(const fs::path& index) {
  return std::make_unique<ShardedFile>(index);
}

}  // namespace mtlora
