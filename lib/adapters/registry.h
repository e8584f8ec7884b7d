// The adapter methods that a config can name, and what a new one has to provide.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/adapters/adapter_set.h"
#include "lib/core/options.h"

namespace mtlora {

/// Where a method with some options is not as the others; tests/laws holds all to the rest.
struct Nature {
  bool starts_exactly = true;  ///< attached, it changes no bit of the outputs
  /// Where it does: the largest spectral norm of the change of a weight. 0: the outputs change by
  /// rounding alone; infinite: no bound.
  double starts_within = 0;
  bool only_attention = false;      ///< its targets can only be square projections of attentions
  bool is_added = true;             ///< what it adds to a weight does not depend on the weight
  bool has_exact_gradients = true;  ///< backward takes nothing for constant that is trained
};

struct AdapterMethod : Entry {
  std::string equation, source;
  bool merges = true;        ///< its change is a plain linear map
  bool is_low_rank = false;  ///< it can be written as a PEFT adapter
  /// Trained numbers of one adapted [out, in] layer, its parts counted one by one (methods.md 0.3),
  /// without what AdapterSet::shared() holds for all.
  std::function<int64_t(const Json& options, int64_t in, int64_t out)> parameters;
  std::function<std::unique_ptr<AdapterSet>(const Json& options)> start;
  std::function<Nature(const Json& options)> nature = [](const Json&) { return Nature{}; };
  /// Options that say how it starts and is trained, no more: with others of these the same tensors
  /// compute the same in evaluation.
  std::vector<std::string> of_training{};
};

/// Every method, in the order of methods.def.
const std::vector<AdapterMethod>& adapter_methods();
const AdapterMethod& adapter_method(const std::string& name);
/// For the config's Choice.
const Kind& adapter_kind();

/// What a method says of itself.
struct MethodText {
  std::string name, summary, equation, source;
  /// Whether its change is a plain linear map, so that it can be merged into the weights.
  bool merges = true;
  /// Whether it can be written as a PEFT LoRA or DoRA: its adapters have a low_rank_form().
  bool is_low_rank = false;
};

/// A method whose layers are made one by one: Layer(const Options&, const AdaptedLayer&) is all
/// there is to write. What layers share, and what happens around a step, is in a derived Set with
/// a constructor Set(Options).
template <class Options, class Layer>
struct Layerwise : AdapterSet {
  explicit Layerwise(Options parsed) : options(std::move(parsed)) {}
  std::shared_ptr<Adapter> make(const AdaptedLayer& layer) override {
    layers.push_back(std::make_shared<Layer>(options, layer));
    return layers.back();
  }
  void survey(const std::vector<AdaptedLayer>& adapted) override {
    if constexpr (requires { options.check(adapted); }) options.check(adapted);
  }
  std::vector<std::string> trainable() const override {
    if constexpr (requires { options.trainable(); }) return options.trainable();
    return {};
  }
  double lr_scale(const std::string& name) const override {
    if constexpr (requires { options.lr_scale(name); }) return options.lr_scale(name);
    return 1;
  }
  Options options;
  std::vector<std::shared_ptr<Layer>> layers;  ///< in the model's order
};

template <class Options, class Layer, class Set = Layerwise<Options, Layer>>
AdapterMethod layerwise(MethodText text) {
  return {{std::move(text.name), std::move(text.summary), default_visit<Options>()},
          std::move(text.equation),
          std::move(text.source),
          text.merges,
          text.is_low_rank,
          [](const Json& in, int64_t width_in, int64_t width_out) {
            return parse<Options>(in, "/adapter/method").parameters(width_in, width_out);
          },
          [](const Json& in) {
            auto set = std::make_unique<Set>(parse<Options>(in, "/adapter/method"));
            set->template know_hooks_of<Set>();
            return set;
          },
          [](const Json& in) {
            if constexpr (requires(Options o) { o.nature(); })
              return parse<Options>(in, "/adapter/method").nature();
            return Nature{};
          },
          [] {
            if constexpr (requires { Options::of_training(); }) return Options::of_training();
            return std::vector<std::string>{};
          }()};
}

}  // namespace mtlora
