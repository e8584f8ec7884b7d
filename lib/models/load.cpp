#include "lib/models/load.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/core/error.h"
#include "lib/core/gguf_config.h"
#include "lib/core/glob.h"
#include "lib/core/random.h"
#include "lib/nn/names.h"
#include "lib/weights/fingerprint.h"
#include "lib/weights/rename.h"
#include "lib/weights/weight_file.h"

namespace mtlora {
namespace {

bool any_match(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& p) { return glob_match(p, name); });
}

// Our name of a checkpoint's tensor: old checkpoints call a norm's scale gamma and its shift beta,
// and a bare base has no prefix.
std::string our_name(const std::string& name, const std::string& prefix, bool is_bare) {
  static const std::vector<Rename> renames = {{"**.LayerNorm.gamma", "**.LayerNorm.weight"},
                                              {"**.LayerNorm.beta", "**.LayerNorm.bias"}};
  return (is_bare ? prefix : "") + renamed(name, renames);
}

struct Checkpoint {
  std::unique_ptr<WeightFile> file;
  std::map<std::string, TensorInfo> tensors;  // by our names
};

Checkpoint open_checkpoint(const std::filesystem::path& folder, const std::string& prefix) {
  Checkpoint checkpoint{open_weights(model_place(folder)), {}};
  const auto& all = checkpoint.file->tensors();
  const bool is_bare = std::none_of(
      all.begin(), all.end(), [&](const TensorInfo& t) { return t.name.starts_with(prefix); });
  for (const TensorInfo& info : all) {
    const std::string name = our_name(info.name, prefix, is_bare);
    if (!checkpoint.tensors.emplace(name, info).second)
      fail("{}: two tensors are called {}", checkpoint.file->path().string(), name);
  }
  return checkpoint;
}

// Weights: normal with the model's own initializer_range; norms: one; biases: zero. As Hugging
// Face's _init_weights.
void draw(const NamedTensor& t, double deviation, uint64_t seed) {
  if (t.tensor.dim() < 2) {
    t.tensor.fill_(t.name.ends_with("LayerNorm.weight") ? 1.0 : 0.0);
    return;
  }
  Random random(combine(seed, name_key(t.name)));
  const Tensor values = torch::empty(t.tensor.sizes());
  float* at = values.data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i)
    at[i] = static_cast<float>(deviation * random.normal());
  t.tensor.copy_(values);
}

// One output of the head for one number to predict: asked for, or as many as the checkpoint's head
// has.
int64_t outputs_of(const ModelConfig& config, const LoadOptions& options) {
  if (options.outputs) return *options.outputs;
  const auto labels = static_cast<int64_t>(config.labels().size());
  return config.integer_or("num_labels", labels > 0 ? labels : 2);
}

// Puts a checkpoint's tensors into a model.
class Filler {
 public:
  Filler(const std::filesystem::path& folder, LoadReport& report, const LoadOptions& options)
      : report_(report),
        family_(*report.family),
        options_(options),
        checkpoint_(open_checkpoint(folder, family_.prefix)) {}

  void fill(Model& model) {
    for (const NamedTensor& t : named_tensors(model)) account(t);
    problems_.raise(fmt::format("{}: its tensors are not those of the {} model that {} describes:",
                                checkpoint_.file->path().string(), family_.name,
                                report_.config.origin()));
    for (const auto& [name, info] : checkpoint_.tensors)
      if (!used_.contains(name) && !any_match(family_.ignored, name))
        report_.unused.push_back(info.name);
    read();
  }

  // Where `model` has no output embedding of its own, the checkpoint must not have another one.
  void check_tied(const LanguageModel& model) const {
    static const std::string name = "lm_head.weight";
    const auto found = checkpoint_.tensors.find(name);
    if (found == checkpoint_.tensors.end() || used_.contains(name)) return;
    if (!torch::equal(checkpoint_.file->read(found->second.name).to(torch::kFloat), model.head()))
      fail(
          "{}: has an lm_head.weight of its own, which is not the embedding, although {} ties them "
          "(tie_word_embeddings is true, or absent); set it to false there",
          checkpoint_.file->path().string(), report_.config.origin());
  }

 private:
  bool is_turned(const NamedTensor& t) const {
    return mtlora::is_turned(family_, t.name, static_cast<size_t>(t.tensor.dim()));
  }

  // Says of a tensor of the model where it comes from.
  void account(const NamedTensor& t) {
    const auto found = checkpoint_.tensors.find(t.name);
    const bool is_there = found != checkpoint_.tensors.end();
    const bool of_head = is_head(family_, t.name);
    const bool may_be_new = (of_head || any_match(family_.optional, t.name)) && options_.outputs;
    if (is_there) used_.insert(t.name);
    std::vector<int64_t> shape = t.tensor.sizes().vec();  // as the checkpoint has it
    if (is_turned(t)) std::swap(shape[0], shape[1]);
    if (is_there && !c10::isFloatingType(found->second.dtype)) {
      problems_.add(
          fmt::format("  {}: {}, wanted floating-point numbers (quantised weights are not "
                      "implemented)",
                      t.name, c10::toString(found->second.dtype)));
    } else if (is_there && found->second.shape == shape) {
      stored_.emplace(t.name, t);
    } else if (may_be_new && (of_head || !is_there)) {
      draw(t, report_.config.number_or("initializer_range", 0.02), options_.seed);
      report_.initialised.push_back(t.name);
      if (is_there) report_.replaced.push_back(t.name);
    } else if (!is_there) {
      problems_.add(fmt::format("  {}: missing", t.name));
    } else {
      problems_.add(fmt::format("  {}: shape [{}], wanted [{}]", t.name,
                                fmt::join(found->second.shape, ", "), fmt::join(shape, ", ")));
    }
  }

  // One at a time, in the order that the fingerprint wants: what is read may be as large as the
  // model.
  void read() {
    Fingerprint of_base;
    for (const auto& [name, t] : stored_) {
      const Tensor value = checkpoint_.file->read(checkpoint_.tensors.at(name).name);
      t.tensor.copy_(is_turned(t) ? value.t() : value);
      if (!is_head(family_, name)) of_base.add(name, value);
    }
    report_.fingerprint = of_base.text();
  }

  LoadReport& report_;
  const Family& family_;
  LoadOptions options_;
  Checkpoint checkpoint_;
  Problems problems_;
  std::set<std::string> used_;
  std::map<std::string, NamedTensor> stored_;  // those that the checkpoint has, by name
};

void refuse_quantised(const ModelConfig& config) {
  const auto found = config.json().find("quantization_config");
  if (found == config.json().end() || found->is_null()) return;
  const auto method = found->is_object() ? found->find("quant_method") : found->end();
  fail(
      "{}: \"quantization_config\": weights quantised by {} are not implemented; take the model's "
      "fp32, fp16 or bf16 weights",
      config.origin(), method == found->end() ? "an unnamed method" : method->dump());
}

// The family of a folder's config.json.
LoadReport report_of(const std::filesystem::path& folder) {
  ModelConfig config(folder);
  const Family& family = family_of(config);
  refuse_quantised(config);
  return {&family, std::move(config), {}, {}, {}};
}

}  // namespace

LoadedClassifier load_classifier(const std::filesystem::path& folder, const LoadOptions& options) {
  const torch::NoGradGuard no_grad;
  LoadedClassifier loaded{report_of(folder), nullptr};
  if (!loaded.family->classifier)
    fail(
        "{}: {} is a language model here: it serves data-to-text tasks, not the labelling of texts",
        loaded.config.origin(), loaded.family->name);
  loaded.model = loaded.family->classifier(loaded.config,
                                           {outputs_of(loaded.config, options), options.dropout});
  Filler(folder, loaded, options).fill(*loaded.model);
  return loaded;
}

LoadedLanguageModel load_language_model(const std::filesystem::path& folder,
                                        std::optional<double> dropout) {
  const torch::NoGradGuard no_grad;
  LoadedLanguageModel loaded{report_of(folder), nullptr};
  if (!loaded.family->language_model)
    fail(
        "{}: {} is an encoder: it labels texts and cannot write any; data-to-text tasks need a "
        "language model such as gpt2 or llama",
        loaded.config.origin(), loaded.family->name);
  loaded.model = loaded.family->language_model(loaded.config, dropout);
  Filler filler(folder, loaded, {std::nullopt, dropout, 0});
  filler.fill(*loaded.model);
  filler.check_tied(*loaded.model);
  return loaded;
}

bool is_turned(const Family& family, const std::string& name, size_t dimensions) {
  return dimensions == 2 && any_match(family.transposed, name);
}

bool is_head(const Family& family, const std::string& name) {
  return any_match(family.head, name);
}

bool is_last_of_head(const Family& family, const std::string& name) {
  return is_head(family, name) && name.find(".dense.") == std::string::npos;
}

void set_compute_type(Model& model, const Family& family, torch::ScalarType type) {
  const torch::NoGradGuard no_grad;
  for (const NamedTensor& t : named_tensors(model)) {
    const bool is_matrix = t.parameter.dim() >= 2 && t.name.ends_with(".weight");
    if (!is_matrix || t.parameter.requires_grad() || is_head(family, t.name)) continue;
    Tensor(t.parameter).set_data(t.parameter.to(type));
  }
}

}  // namespace mtlora
