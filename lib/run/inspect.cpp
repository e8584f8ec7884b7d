// inspect: what a folder or a file of weights holds.

#include <fmt/format.h>

#include <filesystem>

#include "lib/core/error.h"
#include "lib/core/gguf_config.h"
#include "lib/run/peft_folder.h"
#include "lib/run/run_folder.h"
#include "lib/run/session.h"
#include "lib/train/checkpoint.h"
#include "lib/weights/weight_file.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

Json tensors_json(const WeightFile& file) {
  Json tensors = Json::array();
  for (const TensorInfo& t : file.tensors()) {
    tensors.push_back({{"name", t.name}, {"dtype", c10::toString(t.dtype)}, {"shape", t.shape}});
    if (!t.stored.empty()) tensors.back()["stored"] = t.stored;
  }
  return tensors;
}

int64_t count(const Json& tensors) {
  int64_t total = 0;
  for (const Json& t : tensors) {
    int64_t numbers = 1;
    for (const auto& size : t["shape"]) numbers *= size.get<int64_t>();
    total += numbers;
  }
  return total;
}

// That a folder which may be anything is no model is not what the loading of models says of it.
void require_model(const fs::path& folder) {
  if (fs::exists(folder / "config.json") || !gguf_files(folder).empty()) return;
  fail(
      "{}: neither a model, a checkpoint nor a run: no config.json, no GGUF file, no "
      "adapter.safetensors, no metrics.jsonl",
      folder.string());
}

Json inspected(const fs::path& path) {
  if (!fs::exists(path)) fail("{}: there is no such file or folder", path.string());
  Json out;
  if (holds_run(path)) {
    const bool is_finished = fs::exists(path / "result.json");
    out = {{"kind", "run"},
           {"finished", is_finished},
           {"config", read_json(path / "config.json")},
           {"result", is_finished ? read_json(path / "result.json") : Json()}};
    return out;
  }
  if (fs::exists(path / "adapter.safetensors")) {
    out = {{"kind", "checkpoint"},
           {"config", read_json(path / "config.json")},
           {"state", read_json(path / "state.json")}};
    if (!out["state"].is_object() || !out["state"].contains("step"))
      fail("{}: is not the state of a run", (path / "state.json").string());
    out["tensors"] = tensors_json(*open_weights(path / "adapter.safetensors"));
  } else if (is_peft_folder(path)) {
    out = {{"kind", "PEFT adapter"}, {"config", read_json(path / "adapter_config.json")}};
    out["tensors"] = tensors_json(*open_weights(peft_weights(path)));
  } else if (fs::is_directory(path) || is_gguf(path)) {
    if (fs::is_directory(path)) require_model(path);
    const ModelConfig config(path);
    out = {{"kind", "model"},
           {"model_type", config.model_type()},
           {"known", false},
           {"config", config.json()}};
    for (const Family& family : families())
      if (family.name == config.model_type()) out["known"] = true;
    out["tensors"] = tensors_json(*open_weights(model_place(path)));
  } else {
    out = {{"kind", "weights"}};
    out["tensors"] = tensors_json(*open_weights(path));
  }
  out["parameters"] = count(out["tensors"]);
  return out;
}

// Outputs of the head that a folder's weights hold; 2 where they hold none.
int64_t outputs_of(const fs::path& path, const Family& family) {
  const auto file = open_weights(model_place(path));
  for (const TensorInfo& t : file->tensors())
    if (is_last_of_head(family, t.name) && t.shape.size() == 2) return t.shape.front();
  return 2;
}

// The model of a folder, whatever its family makes of it.
std::pair<LoadReport, std::shared_ptr<Model>> load_any(const fs::path& path) {
  if (const Family& family = family_of(ModelConfig(path)); family.classifier) {
    LoadedClassifier loaded = load_classifier(path, {outputs_of(path, family), std::nullopt, 0});
    return {loaded, loaded.model};
  }
  LoadedLanguageModel loaded = load_language_model(path, std::nullopt);
  return {loaded, loaded.model};
}

void print_tensors(const Json& tensors) {
  for (const Json& t : tensors)
    fmt::print("  {:<72} {:<9} {}\n", t["name"].get<std::string>(),
               t.value("stored", t["dtype"].get<std::string>()), t["shape"].dump());
}

}  // namespace

void inspect(const std::string& path, bool json) {
  const Json out = inspected(path);
  if (json) {
    fmt::print("{}\n", out.dump(2));
    return;
  }
  const std::string kind = out["kind"];
  fmt::print("{}: {}\n", path, kind);
  if (kind == "run") {
    fmt::print("{}\n", out["finished"].get<bool>() ? out["result"].dump(2)
                                                   : "not finished; continue with train --resume");
    return;
  }
  if (kind == "checkpoint") {
    fmt::print("step {}\n{}\n", out["state"]["step"].dump(), out["config"].dump(2));
  } else if (kind == "PEFT adapter") {
    fmt::print("{}\n", out["config"].dump(2));
  } else if (kind == "model") {
    fmt::print("{}\n", out["config"].dump(2));
    fmt::print("model type {}{}\n", out["model_type"].get<std::string>(),
               out["known"].get<bool>() ? "" : " (not one that this program can load)");
    if (out["known"].get<bool>()) {
      const auto [loaded, model] = load_any(path);
      for (Tensor& p : model->parameters()) p.set_requires_grad(false);
      fmt::print("{}", parameters_text(*model));
      if (!loaded.initialised.empty())
        fmt::print("missing, would be new: {}\n", fmt::join(loaded.initialised, ", "));
      if (!loaded.unused.empty()) fmt::print("not used: {}\n", fmt::join(loaded.unused, ", "));
    }
  }
  print_tensors(out["tensors"]);
  fmt::print("{} parameters\n", out["parameters"].dump());
}

}  // namespace mtlora
