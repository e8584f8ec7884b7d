#include "lib/adapters/inject.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/adapters/layer_names.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/core/random.h"
#include "lib/nn/dropout.h"

namespace mtlora {
namespace {

// Which of `names` each pattern matches; a pattern that matches none is a problem.
std::vector<bool> matches(const std::vector<std::string>& patterns, const std::vector<Names>& names,
                          const char* option) {
  std::vector<bool> matched(names.size());
  Problems problems;
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (size_t i = 0; i < names.size(); ++i)
      if (goes_by(names[i], pattern)) any = matched[i] = true;
    if (!any)
      problems.add(fmt::format("{}: \"{}\" matches nothing in this model", option, pattern));
  }
  if (!problems.empty()) fail("{}\n{}", problems.text(), naming_help(names));
  return matched;
}

// The layers that the targets name, each with its adapted parts.
struct Found {
  LinearImpl* linear;
  AdaptedLayer layer;
};

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return path_match(pattern, name); });
}

// Which slots the targets name. Not those whose own weight is trained anyway: a change beside it
// would be a second way to the same weight, which PEFT's modules_to_save leaves no room for.
std::vector<bool> adapted_slots(const std::vector<Slot>& slots, const AdapterOptions& options,
                                const std::vector<std::string>& always) {
  if (options.targets.empty()) fail("/adapter/targets: the method needs at least one target");
  std::vector<Names> paths;
  std::vector<bool> is_free;
  for (const Slot& slot : slots) {
    paths.push_back(slot.layer == slot.path ? Names{slot.path} : Names{slot.layer, slot.path});
    is_free.push_back(!matches_any(always, slot.layer + ".weight"));
  }
  std::vector<bool> named = matches(options.targets, paths, "/adapter/targets");
  Problems problems;
  for (const std::string& target : options.targets) {
    bool any = false;
    for (size_t i = 0; i < slots.size(); ++i)
      any = any || (is_free[i] && goes_by(paths[i], target));
    if (!any)
      problems.add(
          fmt::format("/adapter/targets: \"{}\" names nothing but layers that are trained whole "
                      "anyway (the head's, and new ones), which are not adapted; leave it out",
                      target));
  }
  problems.raise();
  for (size_t i = 0; i < slots.size(); ++i) named[i] = named[i] && is_free[i];
  return named;
}

std::vector<Found> find_layers(torch::nn::Module& model, const AdapterOptions& options,
                               uint64_t seed, const std::vector<std::string>& always) {
  const std::vector<Slot> slots = linear_slots(model);
  const std::vector<bool> is_adapted = adapted_slots(slots, options, always);
  std::vector<Found> found;
  for (size_t i = 0; i < slots.size();) {
    LinearImpl* linear = slots[i].linear;
    // Of its first part's path, adapted or not: a part starts the same whichever are adapted.
    const uint64_t key = combine(seed, name_key(slots[i].path));
    AdaptedLayer layer{"", linear->shape(), {}, linear->parts_are(), key};
    for (; i < slots.size() && slots[i].linear == linear; ++i) {
      if (!is_adapted[i]) continue;
      if (layer.path.empty()) layer.path = slots[i].path;
      layer.parts.push_back(linear->parts()[slots[i].part]);
    }
    if (!layer.parts.empty()) found.push_back({linear, std::move(layer)});
  }
  return found;
}

void fill_slots(AdapterSet& set, const std::vector<Found>& found) {
  std::vector<AdaptedLayer> layers;
  for (const Found& f : found) layers.push_back(f.layer);
  set.survey(layers);
  for (const Found& f : found) f.linear->attach(set.make(f.layer));
}

void fill_blocks(torch::nn::Module& model, const std::string& method, AdapterSet& set,
                 uint64_t seed) {
  const std::vector<BlockSlot> slots = block_slots(model);
  if (slots.empty())
    fail(
        "/adapter/method: {} puts blocks between a sublayer and its residual, for which BERT, "
        "RoBERTa and DeBERTa have places; this model has none",
        method);
  for (const BlockSlot& slot : slots) {
    const BlockPlace place{slot.path, slot.norm->ends(), slot.norm->weight.size(0),
                           combine(seed, name_key(slot.path))};
    std::shared_ptr<Block> block = set.make_block(place);
    if (!block) continue;
    slot.parent->register_module("adapter", block);
    slot.norm->attach(std::move(block));
  }
}

// query, key and value are one parameter inside: a pattern that names only some of them would train
// all.
void refuse_half_fused(const std::vector<NamedTensor>& own,
                       const std::vector<std::string>& patterns) {
  const auto named = [&](const NamedTensor& t) { return matches_any(patterns, t.name); };
  for (const NamedTensor& t : own)
    for (const NamedTensor& other : own)
      if (t.parameter.is_same(other.parameter) && named(t) && !named(other))
        fail("/adapter/trainable: \"{}\" can only be trained together with \"{}\"", t.name,
             other.name);
}

}  // namespace

void AdapterOptions::fields(Fields& f) {
  f("targets", targets,
    "Layers to adapt: the last component of their path, or a pattern of the whole path. What is "
    "trained whole, as the head always is, is not adapted. A layer that holds several projections "
    "(GPT-2's c_attn: query, key, value) gets an adapter for each of them. Methods that adapt no "
    "layers by name (bitfit, full, houlsby, pfeiffer) do not look at it.");
  f("trainable", trainable, "Patterns of further tensors of the model to train.");
  f("start_from", start_from,
    "A checkpoint of the same method, or an adapter that PEFT has saved, which starts this one; "
    "the head starts anew.");
  f("method", method, "What is trained.", adapter_kind());
}

int64_t Trained::count() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : parameters) count += tensor.numel();
  return count;
}

namespace {

// Lets the model's own tensors train that the method, the options or `always` name.
void let_train(const std::vector<NamedTensor>& own, const AdapterOptions& options,
               const AdapterSet& set, const std::vector<std::string>& always) {
  std::vector<Names> names;
  for (const NamedTensor& t : own) names.push_back({t.name});
  for (const auto& [patterns, option] :
       {std::pair{set.trainable(), "the method"}, {options.trainable, "/adapter/trainable"}}) {
    const std::vector<bool> matched = matches(patterns, names, option);
    for (size_t i = 0; i < own.size(); ++i)
      if (matched[i]) Tensor(own[i].parameter).set_requires_grad(true);
  }
  for (const NamedTensor& t : own)
    if (matches_any(always, t.name)) Tensor(t.parameter).set_requires_grad(true);
  refuse_half_fused(own, options.trainable);
}

}  // namespace

Trained inject(torch::nn::Module& model, const AdapterOptions& options, uint64_t seed,
               const std::vector<std::string>& always) {
  for (Tensor& p : model.parameters()) p.set_requires_grad(false);
  const std::vector<NamedTensor> own = named_tensors(model);
  std::set<const void*> of_model;
  for (const NamedTensor& t : own) of_model.insert(t.parameter.unsafeGetTensorImpl());

  Trained trained;
  trained.set = adapter_method(options.method.name).start(options.method.options);
  AdapterSet& set = *trained.set;
  if (set.fills_slots()) fill_slots(set, find_layers(model, options, seed, always));
  if (set.fills_blocks()) fill_blocks(model, options.method.name, set, seed);
  if (auto shared = set.shared()) model.register_module(options.method.name, std::move(shared));
  let_train(own, options, set, always);
  name_dropout_sites(model);

  for (NamedTensor& t : named_tensors(model))
    if (t.parameter.requires_grad() || !of_model.contains(t.parameter.unsafeGetTensorImpl()))
      trained.tensors.push_back(std::move(t));
  for (const auto& p : model.named_parameters())
    if (p.value().requires_grad()) trained.parameters.emplace_back(p.key(), p.value());
  for (const Slot& slot : linear_slots(model))
    if (slot.part == 0 && slot.linear->adapter())
      for (FactorPair& pair : slot.linear->adapter()->factor_pairs())
        trained.pairs.push_back(std::move(pair));
  return trained;
}

void meet_bases(torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  for (const Slot& slot : linear_slots(model))
    if (slot.part == 0 && slot.linear->adapter())
      slot.linear->adapter()->meet({slot.linear->weight, slot.linear->bias});
}

void move_to(torch::Device device, torch::nn::Module& model, Trained& trained) {
  const torch::NoGradGuard no_grad;
  for (Tensor& t : model.parameters()) t.set_data(t.to(device));
  for (Tensor& t : model.buffers()) t.set_data(t.to(device));
  std::map<std::string, NamedTensor> now;
  for (NamedTensor& t : named_tensors(model)) now.emplace(t.name, t);
  for (NamedTensor& t : trained.tensors) t = now.at(t.name);
}

void merge_adapters(torch::nn::Module& model) {
  for (const BlockSlot& slot : block_slots(model))
    if (slot.norm->has_block())
      fail(
          "{}: its adapter is not a linear map, so it cannot be merged into the weights; use the "
          "checkpoint itself",
          slot.path);
  for (const Slot& slot : linear_slots(model)) slot.linear->merge();
  for (const AdapterMethod& method : adapter_methods())  // what its layers shared
    if (model.named_children().contains(method.name)) model.unregister_module(method.name);
}

}  // namespace mtlora
