#include "lib/run/peft_fit.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace mtlora {
namespace {

// Whether a tensor belongs to a module that modules_to_save calls by the end of its path.
bool is_of_module(const std::string& tensor, const std::string& module) {
  return ("." + tensor).find("." + module + ".") != std::string::npos;
}

class Fit {
 public:
  Fit(const PeftFolder& peft, const Session& s)
      : peft_(peft), s_(s), own_(named_tensors(s.model())) {
    for (const NamedTensor& t : own_) names_.emplace(t.name, &t);
    for (const Slot& slot : linear_slots(s.model())) layers_.insert(slot.layer);
  }

  void check() {
    for (const PeftLayer& layer : peft_.layers()) check_layer(layer);
    for (const auto& [name, info] : peft_.tensors())
      if (!is_of_peft_layer(name)) check_tensor(name);
    for (const std::string& module : peft_.config().names("modules_to_save")) check_module(module);
    problems_.raise(
        fmt::format("{}: does not go with {}:", peft_.path().string(), s_.options.model.path));
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    problems_.add("  " + fmt::format(format, std::forward<Args>(args)...));
  }

  void check_layer(const PeftLayer& layer) {
    if (!layers_.contains(layer.path))
      add("{}: the model has no such linear layer", layer.path);
    else if (is_head(*s_.loaded.family, layer.path + ".weight"))
      add("{}: belongs to the head, which is trained whole here, not adapted", layer.path);
    else if (!peft_.config().is_adapted(layer.path))
      add("{}: {} leaves it out (target_modules, exclude_modules, layers_to_transform)", layer.path,
          peft_.config().file().filename().string());
  }

  void check_tensor(const std::string& name) {
    const auto found = names_.find(name);
    if (found == names_.end()) {
      if (!is_unused_buffer(*s_.loaded.family, name)) add("{}: {}", name, reason_for_absence(name));
    } else if (is_tied_embedding(s_, *found->second)) {
      add("{}: is the output embedding as well, and PEFT has changed only one of them", name);
    } else {
      check_neighbours(*found->second);
    }
  }

  std::string reason_for_absence(const std::string& name) const {
    return name == "lm_head.weight" && s_.language_model
               ? "the model has none of its own (tie_word_embeddings)"
               : "the model has no such tensor";
  }

  // Query, key and value are one tensor here, which is trained as one.
  void check_neighbours(const NamedTensor& t) {
    if (!t.name.ends_with(".weight")) return;
    for (const NamedTensor& other : own_)
      if (other.parameter.is_same(t.parameter) && !peft_.has(other.name))
        add("{}: was trained whole without {}, which is not implemented", t.name, other.name);
  }

  // PEFT lists heads that the model may not have ("classifier" and "score").
  void check_module(const std::string& module) {
    const auto is_of = [&](const auto& entry) { return is_of_module(entry.first, module); };
    const auto& there = peft_.tensors();
    if (std::any_of(names_.begin(), names_.end(), is_of) &&
        std::none_of(there.begin(), there.end(), is_of))
      add("{}: modules_to_save names it, but none of its tensors is there", module);
  }

  const PeftFolder& peft_;
  const Session& s_;
  std::vector<NamedTensor> own_;
  std::map<std::string, const NamedTensor*> names_;
  std::set<std::string> layers_;
  Problems problems_;
};

// Which biases were trained: none, lora_only or all. A model that has none of them trains none.
std::string trained_biases(const PeftFolder& peft, const Session& s) {
  const std::string bias = peft.config().text("bias", "none");
  if (bias == "none") return bias;
  if (bias != "all" && bias != "lora_only")
    fail("{}: \"bias\" should be none, all or lora_only, got \"{}\"", peft.config().file().string(),
         bias);
  bool has_any = false;
  for (const NamedTensor& t : named_tensors(s.model())) {
    const auto is_of = [&](const PeftLayer& layer) { return t.name == layer.path + ".bias"; };
    has_any = has_any ||
              (t.name.ends_with(".bias") &&
               (bias == "all" || std::any_of(peft.layers().begin(), peft.layers().end(), is_of)));
  }
  if (!has_any) return "none";
  if (peft.is_dora() && bias == "lora_only")
    fail(
        "{}: \"bias\" is \"lora_only\" beside DoRA, whose adapters hold no biases here; of a plain "
        "LoRA it can be read",
        peft.config().file().string());
  return bias;
}

// The first layer's value, and under their paths those that differ from it.
template <class Value>
void put_values(Json& options, const char* key, const std::vector<PeftLayer>& layers, Value value) {
  Json others = Json::object();
  for (const PeftLayer& layer : layers) {
    const Json own = value(layer);
    if (!options.contains(key)) options[key] = own;
    if (options[key] != own) others[layer.path] = own;
  }
  options[std::string(key) + "_pattern"] = others;
}

Json method_options(const PeftFolder& peft, const std::string& bias) {
  Json method{{"name", peft.is_dora() ? "dora" : "lora"}};
  const double dropout = peft.config().number("lora_dropout", 0);
  if (!(dropout >= 0 && dropout < 1))
    fail("{}: \"lora_dropout\" should be from 0 to below 1, got {}", peft.config().file().string(),
         dropout);
  method["dropout"] = dropout;
  put_values(method, "rank", peft.layers(),
             [](const PeftLayer& layer) { return Json(layer.rank); });
  // Our DoRA has no flag for rsLoRA's scale: another alpha says the same.
  const bool is_scaled_by_alpha = peft.is_dora() && peft.is_rslora();
  put_values(method, "alpha", peft.layers(), [&](const PeftLayer& layer) {
    return json_number(is_scaled_by_alpha ? peft.scale(layer) * static_cast<double>(layer.rank)
                                          : layer.alpha);
  });
  if (peft.is_dora()) return method;
  method["rslora"] = peft.is_rslora();
  method["bias"] = bias;
  return method;
}

}  // namespace

bool is_unused_buffer(const Family& family, const std::string& name) {
  const auto fits = [&](const std::string& pattern) { return glob_match(pattern, name); };
  return name.ends_with(".bias") && std::any_of(family.ignored.begin(), family.ignored.end(), fits);
}

void check_peft_fits(const PeftFolder& peft, const Session& session) {
  Fit(peft, session).check();
}

Json peft_adapter_options(const PeftFolder& peft, const Session& s) {
  const Family& family = *s.loaded.family;
  const std::string wanted = s.classifier ? "SEQ_CLS" : "CAUSAL_LM";
  if (const std::string task = peft.config().text("task_type", wanted); task != wanted)
    fail("{}: \"task_type\" is \"{}\"; onto a {} model an adapter of \"{}\" can be put",
         peft.config().file().string(), task, family.name, wanted);
  const std::string bias = trained_biases(peft, s);
  std::set<std::string> paths;
  for (const PeftLayer& layer : peft.layers()) paths.insert(layer.path);
  std::vector<std::string> trainable;
  if (bias == "all" && peft.is_dora()) trainable.emplace_back("bias");
  for (const auto& [name, info] : peft.tensors()) {
    const bool is_of_bias =
        name.ends_with(".bias") &&
        (bias == "all" || (bias == "lora_only" && paths.contains(parent_of(name))));
    if (!is_of_peft_layer(name) && !is_head(family, name) && !is_of_bias) trainable.push_back(name);
  }
  return {{"targets", paths}, {"trainable", trainable}, {"method", method_options(peft, bias)}};
}

}  // namespace mtlora
