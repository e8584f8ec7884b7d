// The adapter methods that a config can name, and what a new one has to provide.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/options.h"
#include "lib/nn/linear.h"

namespace mtlora {

/// The adapted parts of one linear layer, for which a method makes one adapter.
struct AdaptedLayer {
  std::string path;  ///< of the layer (of its first adapted part, where it is a fused one)
  LinearShape shape;
  std::vector<Part> parts;  ///< the adapted ones; the only part of a plain layer has no name
  PartsAre parts_are;       ///< what they are in the checkpoint
  uint64_t key;             ///< of its initial values: the run's seed and the layer's place
};

/// One method at work on one model: it makes the adapters and owns what they share.
class AdapterSet {
 public:
  virtual ~AdapterSet() = default;

  /// The adapter of one layer; only called for methods that fill slots.
  virtual std::shared_ptr<Adapter> make(const AdaptedLayer& layer) = 0;
  /// Whether the method fills slots, so that it needs targets.
  virtual bool fills_slots() const { return true; }
  /// Patterns (lib/core/glob.h) of the model's own tensors that it trains beside.
  virtual std::vector<std::string> trainable() const { return {}; }
};

struct AdapterMethod : Entry {
  std::string equation, source;
  /// Trained numbers of one adapted [out, in] layer, its parts counted one by one (methods.md 0.3).
  std::function<int64_t(const Json& options, int64_t in, int64_t out)> parameters;
  std::function<std::unique_ptr<AdapterSet>(const Json& options)> start;
};

/// Every method, in the order of methods.def.
const std::vector<AdapterMethod>& adapter_methods();
const AdapterMethod& adapter_method(const std::string& name);
/// For the config's Choice.
const Kind& adapter_kind();

/// A method whose layers share nothing: Layer(const Options&, const AdaptedLayer&) is all there is
/// to write.
template <class Options, class Layer>
struct Layerwise : AdapterSet {
  explicit Layerwise(Options parsed) : options(std::move(parsed)) {}
  std::shared_ptr<Adapter> make(const AdaptedLayer& layer) override {
    return std::make_shared<Layer>(options, layer);
  }
  std::vector<std::string> trainable() const override {
    if constexpr (requires { options.trainable(); }) return options.trainable();
    return {};
  }
  Options options;
};

/// What a layerwise method says of itself.
struct MethodText {
  std::string name, summary, equation, source;
};

template <class Options, class Layer>
AdapterMethod layerwise(MethodText text) {
  return {
      {std::move(text.name), std::move(text.summary), default_visit<Options>()},
      std::move(text.equation),
      std::move(text.source),
      [](const Json& in, int64_t width_in, int64_t width_out) {
        return parse<Options>(in, "/adapter/method").parameters(width_in, width_out);
      },
      [](const Json& in) {
        return std::make_unique<Layerwise<Options, Layer>>(parse<Options>(in, "/adapter/method"));
      }};
}

#define ADAPTER(name) AdapterMethod name();
#include "lib/adapters/methods.def"
#undef ADAPTER

}  // namespace mtlora
