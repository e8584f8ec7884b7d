// export: a checkpoint → a model folder as Hugging Face lays it out, the adapters folded in.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/glob.h"
#include "lib/run/session.h"
#include "lib/weights/safetensors.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

bool is_turned(const Family& family, const std::string& name) {
  return std::any_of(family.transposed.begin(), family.transposed.end(),
                     [&](const std::string& pattern) { return glob_match(pattern, name); });
}

// Every tensor as the checkpoint of the family has it, fp32.
NamedTensors tensors_of(const Session& s) {
  NamedTensors tensors;
  for (const NamedTensor& t : named_tensors(s.model())) {
    const Tensor value = is_turned(*s.loaded.family, t.name) ? t.tensor.t() : t.tensor;
    tensors.emplace_back(t.name, value.to(torch::kFloat).contiguous());
  }
  return tensors;
}

// The config.json: the base model's, with what training has changed.
Json config_of(const Session& s) {
  Json config = s.loaded.config.json();
  for (const char* key : {"torch_dtype", "dtype"})
    if (config.contains(key)) config[key] = "float32";
  if (!s.task) return config;
  const TaskInfo& info = s.task->info();
  Json id2label = Json::object(), label2id = Json::object();
  for (size_t i = 0; i < info.labels.size(); ++i) {
    id2label[std::to_string(i)] = info.labels[i];
    label2id[info.labels[i]] = i;
  }
  if (info.kind == TaskKind::regression) id2label = {{"0", "value"}}, label2id = {{"value", 0}};
  config["id2label"] = id2label;
  config["label2id"] = label2id;
  return config;
}

void write_model(const Session& s, const fs::path& folder) {
  fs::create_directories(folder);
  write_file(folder / "config.json", config_of(s).dump(2) + "\n");
  write_safetensors(folder / "model.safetensors", tensors_of(s), {{"format", "pt"}});
  s.tokenizer->save(folder);
}

}  // namespace

void export_model(const ExportRequest& request) {
  const fs::path out = request.out;
  if (fs::exists(out)) fail("--out {}: is already there", out.string());
  const Session s = open_checkpoint_session(request.checkpoint, {{}, {"train.dtype=fp32"}});
  {
    const torch::NoGradGuard no_grad;
    merge_adapters(s.model());
  }
  const fs::path beside = out.string() + ".partial";
  fs::remove_all(beside);
  try {
    write_model(s, beside);
    fs::rename(beside, out);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    throw;
  }
  fmt::print("{}\n", out.string());
}

}  // namespace mtlora
