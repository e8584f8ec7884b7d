#include "lib/models/load.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/core/random.h"
#include "lib/nn/names.h"
#include "lib/weights/fingerprint.h"
#include "lib/weights/weight_file.h"

namespace mtlora {
namespace {

bool any_match(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& p) { return glob_match(p, name); });
}

// Our name of a checkpoint's tensor: old checkpoints call a norm's scale gamma and its shift beta,
// and a bare encoder has no prefix.
std::string our_name(std::string name, const std::string& prefix, bool is_bare) {
  const auto replace_end = [&](const std::string& from, const std::string& to) {
    if (name.ends_with(from)) name.replace(name.size() - from.size(), from.size(), to);
  };
  replace_end(".LayerNorm.gamma", ".LayerNorm.weight");
  replace_end(".LayerNorm.beta", ".LayerNorm.bias");
  return is_bare ? prefix + name : name;
}

struct Checkpoint {
  std::unique_ptr<WeightFile> file;
  std::map<std::string, TensorInfo> tensors;  // by our names
};

Checkpoint open_checkpoint(const std::filesystem::path& folder, const std::string& prefix) {
  Checkpoint checkpoint{open_weights(folder), {}};
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

}  // namespace

LoadedClassifier load_classifier(const std::filesystem::path& folder, const LoadOptions& options) {
  const torch::NoGradGuard no_grad;
  ModelConfig config(folder);
  const Family& family = family_of(config);
  const Checkpoint checkpoint = open_checkpoint(folder, family.prefix);
  const std::string file = checkpoint.file->path().string();
  LoadedClassifier loaded{family.make(config, {outputs_of(config, options), options.dropout}),
                          &family,
                          config,
                          {},
                          {},
                          {}};

  Problems problems;
  std::set<std::string> used;
  std::vector<std::pair<std::string, Tensor>> base;
  for (const NamedTensor& t : named_tensors(*loaded.model)) {
    const auto found = checkpoint.tensors.find(t.name);
    const bool of_head = is_head(family, t.name);
    const bool may_be_new = of_head || any_match(family.optional, t.name);
    if (found != checkpoint.tensors.end()) used.insert(t.name);
    const bool fits = found != checkpoint.tensors.end() && t.tensor.sizes() == found->second.shape;
    if (fits) {
      const Tensor value = checkpoint.file->read(found->second.name);
      t.tensor.copy_(value);
      if (!of_head) base.emplace_back(t.name, value);
    } else if (may_be_new && options.outputs && (of_head || found == checkpoint.tensors.end())) {
      draw(t, config.number_or("initializer_range", 0.02), options.seed);
      loaded.initialised.push_back(t.name);
    } else if (found == checkpoint.tensors.end()) {
      problems.add(fmt::format("  {}: missing", t.name));
    } else {
      problems.add(fmt::format("  {}: shape [{}], wanted [{}]", t.name,
                               fmt::join(found->second.shape, ", "),
                               fmt::join(t.tensor.sizes().vec(), ", ")));
    }
  }
  problems.raise(fmt::format("{}: its tensors are not those of the {} model that {} describes:",
                             file, family.name, config.origin()));
  for (const auto& [name, info] : checkpoint.tensors)
    if (!used.contains(name) && !any_match(family.ignored, name))
      loaded.unused.push_back(info.name);
  loaded.fingerprint = fingerprint(base);
  return loaded;
}

bool is_head(const Family& family, const std::string& name) {
  return any_match(family.head, name);
}

void set_compute_type(Classifier& model, const Family& family, torch::ScalarType type) {
  const torch::NoGradGuard no_grad;
  for (const NamedTensor& t : named_tensors(model)) {
    const bool is_matrix = t.parameter.dim() >= 2 && t.name.ends_with(".weight");
    if (!is_matrix || t.parameter.requires_grad() || is_head(family, t.name)) continue;
    Tensor(t.parameter).set_data(t.parameter.to(type));
  }
}

}  // namespace mtlora
