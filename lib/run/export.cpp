// export: a checkpoint → a model folder as Hugging Face lays it out, the adapters folded in; or a
// folder for PEFT.

#include "lib/run/export.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/gguf_config.h"
#include "lib/core/log.h"
#include "lib/run/commands.h"
#include "lib/run/open_peft.h"
#include "lib/text/foreign_json.h"
#include "lib/weights/safetensors.h"

namespace mtlora {
namespace fs = std::filesystem;

Tensor as_stored(const Session& s, const NamedTensor& t) {
  const bool turned = is_turned(*s.loaded.family, t.name, static_cast<size_t>(t.tensor.dim()));
  return (turned ? t.tensor.t() : t.tensor).to(torch::kFloat).contiguous();
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
  // that of the base model's head may be another
  if (config.contains("problem_type"))
    config["problem_type"] =
        info.kind == TaskKind::regression ? "regression" : "single_label_classification";
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

// How the model's texts end, where its folder says so: what goes on with the texts reads it.
void copy_generation_config(const Session& s, const fs::path& folder) {
  constexpr const char* kName = "generation_config.json";
  const fs::path from = model_place(s.options.model.path) / kName;
  if (!fs::exists(fs::symlink_status(from))) return;
  if (!fs::is_regular_file(from)) fail("{}: is no file that can be read", from.string());
  read_foreign_json(from);  // what nobody can read is not passed on
  write_file(folder / kName, read_file(from));
}

// The folder to write, made beside at once: that it cannot be made is said before the work, not
// after it. Where the work fails neither it nor what was made above it is left behind.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& folder)
      : folder_(folder), beside_(folder.string() + ".partial") {
    std::error_code error;
    if (fs::exists(fs::symlink_status(folder, error)))
      fail("--out {}: is already there", folder.string());
    fs::path above = beside_.parent_path();
    for (; !above.empty() && !fs::exists(above, error); above = above.parent_path())
      made_above_.push_back(above);
    fs::remove_all(beside_, error);
    if (!error) fs::create_directories(beside_, error);
    if (!error) return;
    remove();
    fail("{}: cannot be created: {}", folder.string(), error.message());
  }
  ~NewFolder() {
    if (!is_placed_) remove();
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& beside() const { return beside_; }
  void place() {
    std::error_code error;
    fs::rename(beside_, folder_, error);
    if (error)
      fail("{}: cannot be moved to {}: {}", beside_.string(), folder_.string(), error.message());
    is_placed_ = true;
  }

 private:
  void remove() const {
    std::error_code ignored;
    fs::remove_all(beside_, ignored);
    for (const fs::path& folder : made_above_) fs::remove(folder, ignored);  // those that are empty
  }

  fs::path folder_, beside_;
  std::vector<fs::path> made_above_;  // the lowest first
  bool is_placed_ = false;
};

}  // namespace

void export_model(const ExportRequest& request) {
  const bool is_merged = request.format == "merged";
  if (is_merged && !request.base.empty())
    throw UsageError("--base is of --format peft: a merged model needs none");
  const fs::path out = plain_path(request.out);  // "merged/" is "merged"
  NewFolder folder(out);
  const torch::NoGradGuard no_grad;
  ConfigSource config = request.config;
  for (const char* exact : {"train.dtype=fp32", "train.device=cpu"})
    config.assignments.emplace_back(exact);
  const Session s = open_trained_session(request.checkpoint, config);
  if (is_merged)
    log::info(fmt::format("merged in fp32: the logits move by at most {:.1e} of the largest",
                          merge_checked(s)));
  if (is_merged) {
    write_model(s, folder.beside());
    copy_generation_config(s, folder.beside());
  } else {
    write_peft(s, request.base, folder.beside());
  }
  s.tokenizer->save(folder.beside());
  folder.place();
  fmt::print("{}\n", out.string());
}

}  // namespace mtlora
