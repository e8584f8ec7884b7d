// One adapter method at work on one model: it makes the adapters, owns what they share, and may act
// around every training step (rank budgets, gradient masks, merge and restart).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "lib/nn/block.h"
#include "lib/nn/linear.h"

namespace mtlora {

/// The adapted parts of one linear layer, for which a method makes one adapter.
struct AdaptedLayer {
  std::string path;  ///< of the layer (of its first adapted part, where it is a fused one)
  LinearShape shape;
  std::vector<Part> parts;  ///< the adapted ones; the only part of a plain layer has no name
  PartsAre parts_are;       ///< what they are in the checkpoint
  uint64_t key;             ///< of its initial values: the run's seed and the layer's place

  /// The path of one of its parts.
  std::string path_of(const Part& part) const;
  /// The names by which a config finds a part: its path; that of the checkpoint's layer too, of
  /// which it is rows.
  std::vector<std::string> names_of(const Part& part) const;
  /// The number in its path, which of the model's repeated layers it belongs to; -1: none.
  int64_t depth() const;
};

/// The end of a sublayer, for which a method makes one block.
struct BlockPlace {
  std::string path;  ///< of the module that holds its norm: "….attention.output"
  Sublayer sublayer;
  int64_t width;
  uint64_t key;  ///< of its initial values
};

/// What is known when training begins or is resumed.
struct TrainingPlan {
  int64_t total_steps = 0, step = 0;  ///< all; those already made
  uint64_t seed = 0;
};

/// The gradients of a step by the tensors that they belong to.
class StepGradients {
 public:
  /// Of the same order.
  StepGradients(const std::vector<Tensor>& parameters, std::vector<Tensor>& gradients)
      : parameters_(parameters), gradients_(gradients) {}
  /// The gradient of a trained tensor; writing it changes what the optimizer sees.
  Tensor& of(const Tensor& parameter) const;

 private:
  const std::vector<Tensor>& parameters_;
  std::vector<Tensor>& gradients_;
};

class AdapterSet {
 public:
  virtual ~AdapterSet() = default;

  /// Every layer that will be adapted, before the first is made.
  virtual void survey(const std::vector<AdaptedLayer>&) {}
  /// The adapter of one layer; only called for methods that fill slots.
  virtual std::shared_ptr<Adapter> make(const AdaptedLayer& layer) = 0;
  /// Whether the method fills slots of linear layers, so that it needs targets.
  virtual bool fills_slots() const { return true; }
  /// The block at the end of a sublayer, or null for none.
  virtual std::shared_ptr<Block> make_block(const BlockPlace&) { return nullptr; }
  /// Whether the method fills slots for blocks, which only post-norm models have.
  virtual bool fills_blocks() const { return false; }
  /// Tensors that the layers share, registered with the model under the method's name; or null.
  virtual std::shared_ptr<torch::nn::Module> shared() { return nullptr; }
  /// Patterns (lib/core/glob.h) of the model's own tensors that it trains beside.
  virtual std::vector<std::string> trainable() const { return {}; }
  /// What the learning rate of a trained tensor is multiplied by; `name` is the last component of
  /// its path, such as "lora_B".
  virtual double lr_scale(const std::string&) const { return 1; }

  /// Whether it works on the gradients of a step, which some optimizers do without.
  virtual bool needs_gradients() const { return false; }
  /// Throws Error where the method cannot follow the plan of a new run, or not start from its
  /// tensors' values (those of another run, where adapter.start_from says so).
  virtual void check(const TrainingPlan&) const {}
  /// Whether initialise() is to be called.
  virtual bool wants_weight_gradients() const { return false; }
  /// Before a new run, not a resumed one: the gradients of the loss of its first step by the
  /// weights [out, in] of the adapted layers, in the order in which their adapters were made.
  virtual void initialise(const std::vector<Tensor>&) {}
  /// Training begins; the tensors have their values, those of a checkpoint where it is resumed.
  virtual void begin(const TrainingPlan&) {}
  /// Before a pass of training on a device, with gradients switched on: what layers would each
  /// compute of trained tensors alone.
  virtual Prepared prepare() const { return {}; }
  /// What is added to the loss of a step, an fp32 scalar with its graph; undefined: nothing.
  virtual Tensor penalty() { return {}; }
  /// Before the update of `step` (0, 1, …); gradients are summed and clipped.
  virtual void before_update(int64_t, const StepGradients&) {}
  /// After it. Returns the tensors that begin anew, whose moments the optimizer forgets.
  virtual std::vector<Tensor> after_update(int64_t, const StepGradients&) { return {}; }
  /// Whether the method has a penalty or acts around an update. Else a step on a device can be
  /// asked for as a whole, before the CPU knows its numbers.
  bool acts_on_steps() const { return acts_on_steps_; }
  /// What the learning rate of `step` is multiplied by, beside the schedule's factor.
  virtual double lr_factor(int64_t) const { return 1; }
  /// Whether every forward pass of training asks for the same operations, whatever the step: then a
  /// pass can be recorded once and replayed.
  virtual bool repeats() const { return true; }
  /// Whether a step may be left out: not where the method begins anew after given ones.
  virtual bool may_leave_out_steps() const { return true; }
  /// What later steps depend on beside the tensors of a checkpoint. Writing these restores it.
  virtual std::vector<std::pair<std::string, Tensor>> state() { return {}; }

  /// Sets acts_on_steps() by what `Set`, the object's class, overrides.
  template <class Set>
  void know_hooks_of() {
    acts_on_steps_ =
        !std::is_same_v<decltype(&Set::penalty), decltype(&AdapterSet::penalty)> ||
        !std::is_same_v<decltype(&Set::before_update), decltype(&AdapterSet::before_update)> ||
        !std::is_same_v<decltype(&Set::after_update), decltype(&AdapterSet::after_update)>;
  }

 private:
  bool acts_on_steps_ = true;
};

}  // namespace mtlora
