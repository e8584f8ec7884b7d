// export: a checkpoint → a model folder as Hugging Face lays it out, the adapters folded in; or a
// folder for PEFT.

#include "lib/run/export.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/glob.h"
#include "lib/core/log.h"
#include "lib/run/commands.h"
#include "lib/weights/safetensors.h"

namespace mtlora {
namespace fs = std::filesystem;

Tensor as_stored(const Session& s, const NamedTensor& t) {
  const auto& turned = s.loaded.family->transposed;
  const bool is_turned = std::any_of(turned.begin(), turned.end(), [&](const std::string& pattern) {
    return glob_match(pattern, t.name);
  });
  return (is_turned ? t.tensor.t() : t.tensor).to(torch::kFloat).contiguous();
}

namespace {

// The config.json: the base model's, with what training has changed.
Json config_of(const Session& s) {
  Json config = s.loaded.config.json();
  for (const char* key : {"torch_dtype", "dtype"})
    if (config.contains(key)) config[key] = "float32";
  config["architectures"] = {s.loaded.family->architecture};
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
  NamedTensors tensors;
  for (const NamedTensor& t : named_tensors(s.model()))
    tensors.emplace_back(t.name, as_stored(s, t));
  write_file(folder / "config.json", config_of(s).dump(2) + "\n");
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace

void export_model(const ExportRequest& request) {
  fs::path out = fs::path(request.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();  // "merged/"
  if (fs::exists(out)) fail("--out {}: is already there", out.string());
  const torch::NoGradGuard no_grad;
  const Session s =
      open_checkpoint_session(request.checkpoint, {{}, {"train.dtype=fp32", "train.device=cpu"}});
  const bool is_merged = request.format == "merged";
  if (is_merged)
    log::info(fmt::format("merged in fp32: the logits move by at most {:.1e} of the largest",
                          merge_checked(s)));
  const fs::path beside = out.string() + ".partial";
  fs::remove_all(beside);
  try {
    fs::create_directories(beside);
    is_merged ? write_model(s, beside) : write_peft(s, beside);
    s.tokenizer->save(beside);
    fs::rename(beside, out);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    throw;
  }
  fmt::print("{}\n", out.string());
}

}  // namespace mtlora
