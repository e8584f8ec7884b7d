#include "lib/run/open_peft.h"

#include <algorithm>
#include <set>

#include "lib/core/error.h"
#include "lib/core/gguf_config.h"
#include "lib/core/log.h"
#include "lib/run/open_checkpoint.h"
#include "lib/run/open_session.h"
#include "lib/run/own_head.h"
#include "lib/run/peft_fit.h"
#include "lib/run/peft_restore.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// Its base model as the folder or GGUF file of one; PEFT takes a path from the current folder on as
// well.
std::string base_of(const PeftFolder& peft) {
  const std::string base = peft.config().text("base_model_name_or_path", "");
  if (!base.empty() && (fs::is_directory(base) || is_gguf(base))) return base;
  fail("{}: {}: name the model's folder with --set model.path=DIR", peft.config().file().string(),
       base.empty() ? "names no base model"
                    : fmt::format("its base model \"{}\" is no folder here", base));
}

Json config_of(const PeftFolder& peft, const ConfigSource& request) {
  if (gather_config({{}, request.assignments}).contains("adapter"))
    throw UsageError(fmt::format("--set adapter.…: the adapter is that of {}; leave it out",
                                 peft.path().string()));
  Json config = gather_config(request);
  config.erase("adapter");  // that of a run's configuration, whose task alone is asked for
  Json& of_model = config["model"];
  if (of_model.is_null() || (of_model.is_object() && !of_model.contains("path")))
    of_model["path"] = base_of(peft);
  if (!of_model.is_object() || !of_model["path"].is_string()) parse_run_options(config);  // throws
  const ModelConfig model(of_model["path"].get<std::string>());
  return with_own_task(config, peft.outputs(family_of(model)));
}

void check_outputs(const Session& s, const PeftFolder& peft) {
  const std::optional<int64_t> outputs = peft.outputs(*s.loaded.family);
  if (!s.task || !outputs) return;
  const auto wanted = static_cast<int64_t>(s.task->info().outputs());
  if (*outputs != wanted)
    fail("{}: its head has {} outputs, the task {} needs {}", peft.path().string(), *outputs,
         s.task->info().name, wanted);
}

std::string module_of(const std::string& tensor) {
  return tensor.substr(0, tensor.rfind('.') + 1);
}

// Whether the tensor belongs to a module of the head of which the folder holds nothing.
bool is_of_absent_head(const Session& s, const PeftFolder& peft, const std::string& name) {
  const auto next = peft.tensors().lower_bound(module_of(name));
  const bool is_there = next != peft.tensors().end() && module_of(next->first) == module_of(name);
  return is_head(*s.loaded.family, name) && !is_there;
}

// Whether the model has brought it.
bool is_models_own(const Session& s, const PeftFolder& peft, const std::string& name) {
  const auto& drawn = s.loaded.initialised;
  const bool is_new = std::find(drawn.begin(), drawn.end(), name) != drawn.end();
  return is_of_absent_head(s, peft, name) && !is_new;
}

// All that is trained has to be there, but for such a module.
NamedTensors tensors_to_restore(const Session& s, const PeftFolder& peft) {
  NamedTensors all;
  for (const NamedTensor& t : s.trained.tensors)
    if (!is_models_own(s, peft, t.name)) all.emplace_back(t.name, t.tensor);
  return all;
}

// PEFT saves of a head what modules_to_save names, and by itself not DeBERTa's pooler: a module
// that its base does not have either is lost.
void require_head(const Session& s, const PeftFolder& peft, const NamedTensors& wanted) {
  std::vector<std::string> lost;
  for (const auto& [name, tensor] : wanted)
    if (is_of_absent_head(s, peft, name)) lost.push_back(name);
  if (lost.empty()) return;
  std::set<std::string> modules;
  for (const NamedTensor& t : s.trained.tensors)
    if (is_head(*s.loaded.family, t.name)) modules.insert(t.name.substr(0, t.name.find('.')));
  fail(
      "{}: does not hold {}, nor does its base model {}: that part of the trained head was not "
      "saved "
      "and is lost. With PEFT's modules_to_save [\"{}\"] it would have been",
      peft.path().string(), fmt::join(lost, ", "), s.options.model.path,
      fmt::join(modules, "\", \""));
}

}  // namespace

Session open_peft_session(const fs::path& folder, const ConfigSource& request) {
  const PeftFolder peft(folder);
  const Opening how{.fits_lengths = true};
  Session s = load(config_of(peft, request), how);
  log::info(fmt::format("{}: {} of {} layers, for {}", folder.string(),
                        peft.is_dora() ? "DoRA" : "LoRA", peft.layers().size(),
                        s.options.model.path));
  check_outputs(s, peft);
  check_peft_fits(peft, s);
  s.options.adapter = parse<AdapterOptions>(peft_adapter_options(peft, s), "/adapter");
  adapt(s, how);
  const NamedTensors wanted = tensors_to_restore(s, peft);
  require_head(s, peft, wanted);
  restore_peft(peft, s, wanted, {});
  const bool brings_head = peft.outputs(*s.loaded.family).has_value();
  if (brings_head && s.task) warn_of_labels(s);
  if (!brings_head && has_own_head(s)) require_one_label(s.loaded.config), order_own_head(s);
  settle(s);
  return s;
}

Session open_trained_session(const fs::path& folder, const ConfigSource& request) {
  return is_peft_folder(folder) ? open_peft_session(folder, request)
                                : open_checkpoint_session(folder, request);
}

}  // namespace mtlora
