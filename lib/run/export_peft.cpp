// A checkpoint as PEFT lays it out: ΔW = (alpha / r) B A for every adapted layer, and beside it the
// head and whatever else of the model was trained. Names and keys as PEFT 0.21.2 saves and reads
// them (peft/utils/save_and_load.py, tuners/lora).
//
// Adapted parts that are rows of one layer of the checkpoint (GPT-2's c_attn) become one LoRA of
// all their ranks: A stacks their A, B holds their B in its own rows and columns.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/run/export.h"
#include "lib/run/peft_folder.h"
#include "lib/weights/safetensors.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// The change of one layer of the checkpoint.
struct Adapted {
  std::string path;
  LinearImpl* linear;
  int64_t begin = 0, rows = 0;  // of the layer in the linear's weight
  std::vector<LowRankForm> forms;

  int64_t rank() const {
    int64_t sum = 0;
    for (const LowRankForm& form : forms) sum += form.down.size(0);
    return sum;
  }
  double alpha() const { return forms.front().scale * static_cast<double>(rank()); }
  // A part's rows in the layer's.
  Tensor of(const Tensor& all, const Part& part) const {
    return all.narrow(0, part.begin - begin, part.size());
  }
};

[[noreturn]] void refuse(const Session& s, const std::string& why) {
  fail("{} cannot be written for PEFT: {}; --format merged can hold it",
       s.options.adapter.method.name, why);
}

// The layers of the checkpoint that a linear's forms belong to.
void add_layers(const std::vector<Slot>& slots, LinearImpl* linear, std::vector<Adapted>& out) {
  for (const LowRankForm& form : linear->adapter()->low_rank_form()) {
    const Slot& slot = *std::find_if(slots.begin(), slots.end(), [&](const Slot& one) {
      return one.linear == linear && linear->parts()[one.part].begin == form.part.begin;
    });
    if (out.empty() || out.back().path != slot.layer) {
      const bool is_whole = slot.layer != slot.path;  // a part of a layer of the checkpoint
      out.push_back({slot.layer,
                     linear,
                     is_whole ? 0 : form.part.begin,
                     is_whole ? linear->shape().out : form.part.size(),
                     {}});
    }
    out.back().forms.push_back(form);
  }
}

std::vector<Adapted> adapted_layers(const Session& s) {
  const std::vector<Slot> slots = linear_slots(s.model());
  std::vector<Adapted> layers;
  for (const Slot& slot : slots) {
    if (slot.part != 0 || !slot.linear->adapter()) continue;
    if (slot.linear->adapter()->low_rank_form().empty())
      refuse(s, "its change is no product of two thin matrices, which is what a LoRA of PEFT is");
    add_layers(slots, slot.linear, layers);
  }
  if (layers.empty()) refuse(s, "it adds nothing to any layer, and PEFT needs a layer to adapt");
  return layers;
}

class Writer {
 public:
  Writer(const Session& s, std::string base)
      : s_(s), base_(std::move(base)), layers_(adapted_layers(s)), own_(named_tensors(s.model())) {
    for (const Adapted& layer : layers_) add_layer(layer);
    add_trained();
    if (bias_ != "none") add_biases();
  }

  void write(const fs::path& folder) const {
    write_file(folder / "adapter_config.json", config().dump(2) + "\n");
    write_safetensors(folder / "adapter_model.safetensors",
                      NamedTensors(tensors_.begin(), tensors_.end()), {{"format", "pt"}});
  }

 private:
  void put(const std::string& name, const Tensor& value) {
    tensors_[std::string(kPeftPrefix) + name] = value.detach().to(torch::kFloat).contiguous();
  }

  void add_layer(const Adapted& layer) {
    const auto& forms = layer.forms;
    const Tensor up = torch::zeros({layer.rows, layer.rank()});
    std::vector<Tensor> downs;
    int64_t column = 0;
    for (const LowRankForm& form : forms) {
      const int64_t rank = form.down.size(0);
      downs.push_back(form.down);
      // One scale for all: the first's.
      const double scale = form.scale == forms[0].scale ? 1.0 : form.scale / forms[0].scale;
      layer.of(up, form.part).narrow(1, column, rank).copy_(form.up * scale);
      column += rank;
      if (form.bias.defined()) bias_ = "lora_only";
    }
    put(layer.path + ".lora_A.weight", torch::cat(downs));
    put(layer.path + ".lora_B.weight", up);
    if (forms[0].magnitude.defined())
      put(layer.path + ".lora_magnitude_vector", magnitude_of(layer));
  }

  // Rows that are not adapted keep their length.
  Tensor magnitude_of(const Adapted& layer) const {
    const Tensor weight = layer.linear->weight.narrow(0, layer.begin, layer.rows);
    const Tensor magnitude = weight.to(torch::kDouble).norm(2, 1).to(torch::kFloat);
    for (const LowRankForm& form : layer.forms)
      layer.of(magnitude, form.part).copy_(form.magnitude);
    return magnitude;
  }

  const Adapted* adapted(const std::string& path) const {
    const auto found = std::find_if(layers_.begin(), layers_.end(),
                                    [&](const Adapted& layer) { return layer.path == path; });
    return found == layers_.end() ? nullptr : &*found;
  }

  // Everything of the model that was trained: whole modules, or biases alone.
  void add_trained() {
    std::set<std::string> modules;
    for (const NamedTensor& t : own_) {
      if (!t.parameter.requires_grad() || is_of_method(t)) continue;
      if (is_head(*s_.loaded.family, t.name)) {
        modules.insert(t.name.substr(0, t.name.find('.')));
      } else if (t.name.ends_with(".bias") && !is_weight_trained(t)) {
        bias_ = "all";
      } else if (adapted(parent_of(t.name))) {
        refuse(s_, t.name + " was trained beside its layer's adapter, and PEFT keeps it frozen");
      } else if (is_tied_embedding(s_, t)) {
        refuse(s_, t.name + " is the output embedding as well, and PEFT would change only one");
      } else {
        modules.insert(parent_of(t.name));
      }
    }
    modules_.assign(modules.begin(), modules.end());
    for (const NamedTensor& t : own_)
      if (in_saved_module(t.name)) put(t.name, as_stored(s_, t));
  }

  // Tensors that the method brought: of an adapter, or shared by all.
  bool is_of_method(const NamedTensor& t) const {
    if (t.name.starts_with(s_.options.adapter.method.name + ".")) return true;
    for (const Adapted& layer : layers_)
      for (const Tensor& p : layer.linear->adapter()->parameters())
        if (p.is_same(t.parameter)) return true;
    return false;
  }

  bool is_weight_trained(const NamedTensor& bias) const {
    return std::any_of(own_.begin(), own_.end(), [&](const NamedTensor& t) {
      return t.name == parent_of(bias.name) + ".weight" && t.parameter.requires_grad();
    });
  }

  bool in_saved_module(const std::string& name) const {
    return std::any_of(modules_.begin(), modules_.end(),
                       [&](const std::string& m) { return name.starts_with(m + "."); });
  }

  // PEFT's bias "lora_only" and "all": the biases themselves, not their changes.
  void add_biases() {
    for (const NamedTensor& t : own_) {
      if (!t.name.ends_with(".bias") || in_saved_module(t.name) || is_of_method(t)) continue;
      const Adapted* layer = adapted(parent_of(t.name));
      if (!layer && bias_ == "lora_only") continue;
      if (!layer) {
        put(t.name, as_stored(s_, t));
        continue;
      }
      const Tensor bias = as_stored(s_, t).clone();
      for (const LowRankForm& form : layer->forms)
        if (form.bias.defined()) layer->of(bias, form.part) += form.bias;
      put(layer->path + ".base_layer.bias", bias);
    }
  }

  // Of the first layer; and those that differ from it, by their paths. These are regular
  // expressions to PEFT, whose dots fit any character, but no two layers' paths differ in such a
  // one alone.
  Json patterns(const char* key, Json& config) const {
    Json different = Json::object();
    for (const Adapted& layer : layers_) {
      const bool is_rank = std::string(key) == "r";
      const double value = is_rank ? static_cast<double>(layer.rank()) : layer.alpha();
      const Json number = json_number(value);
      if (!config.contains(key)) config[key] = number;
      if (config[key] != number) different[layer.path] = number;
    }
    return different;
  }

  Json config() const {
    std::vector<std::string> targets;
    for (const Adapted& layer : layers_) targets.push_back(layer.path);
    const bool is_classifier = s_.classifier != nullptr;
    Json config{{"peft_type", "LORA"},
                {"task_type", is_classifier ? "SEQ_CLS" : "CAUSAL_LM"},
                {"base_model_name_or_path", base_},
                {"revision", nullptr},
                {"inference_mode", true},
                {"target_modules", targets},
                {"modules_to_save", modules_.empty() ? Json() : Json(modules_)},
                {"fan_in_fan_out", !s_.loaded.family->transposed.empty()},
                {"bias", bias_},
                {"use_dora", layers_[0].forms[0].magnitude.defined()},
                {"use_rslora", false},
                {"lora_dropout", s_.options.adapter.method.options.value("dropout", 0.0)},
                {"init_lora_weights", true}};
    config["rank_pattern"] = patterns("r", config);
    config["alpha_pattern"] = patterns("lora_alpha", config);
    return config;
  }

  const Session& s_;
  std::string base_;
  std::vector<Adapted> layers_;
  std::vector<NamedTensor> own_;
  std::map<std::string, Tensor> tensors_;
  std::vector<std::string> modules_;  // PEFT's modules_to_save
  std::string bias_ = "none";
};

}  // namespace

void write_peft(const Session& session, const std::string& base, const fs::path& folder) {
  const fs::path own = session.options.model.path;
  if (base.empty() && !fs::exists(own / "config.json"))
    fail(
        "the base {} is no folder that PEFT could load: name with --base the Hugging Face model "
        "that it was made of",
        own.string());
  Writer(session, base.empty() ? session.resolved["model"]["path"].get<std::string>() : base)
      .write(folder);
}

}  // namespace mtlora
