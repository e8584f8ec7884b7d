// What the bottleneck adapters of Houlsby and of Pfeiffer share: f(x) = U σ(V x + v) + u with V [m,
// width] and U [width, m], two thin products between a sublayer and its residual.
#pragma once

#include <torch/types.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/adapters/registry.h"
#include "lib/core/error.h"
#include "lib/nn/block.h"

namespace mtlora {

struct BottleneckOptions {
  int64_t bottleneck = 64;
  std::string init = "zero";

  static std::vector<std::string> of_training() { return {"init"}; }
  void fields(Fields& f);
  Nature nature() const {
    return {.starts_exactly = init == "zero",
            .starts_within = std::numeric_limits<double>::infinity()};
  }
  /// Of one block; `out` is the model's width.
  int64_t parameters(int64_t, int64_t out) const { return 2 * out * bottleneck + bottleneck + out; }
};

class BottleneckBlock : public Block {
 protected:
  BottleneckBlock(const BottleneckOptions& options, const BlockPlace& place);

  using Activation = Tensor (*)(const Tensor&);
  /// U σ(V x + v) + u of x [tokens, width], the same shape and type.
  Tensor through(const Tensor& x, Activation activation) const;

 private:
  struct Layer {
    Tensor weight, bias;  ///< fp32 [out, in], [out]
  };
  Layer add(const char* name, int64_t out, int64_t in);

  Layer down_, up_;
};

/// Puts a block wherever Bottleneck::stands_at(sublayer) says.
template <class Bottleneck>
class BottleneckSet final : public AdapterSet {
 public:
  explicit BottleneckSet(BottleneckOptions options) : options_(std::move(options)) {}
  std::shared_ptr<Adapter> make(const AdaptedLayer& layer) override {
    fail("{}: this method fills no slots of layers", layer.path);
  }
  bool fills_slots() const override { return false; }
  bool fills_blocks() const override { return true; }
  std::shared_ptr<Block> make_block(const BlockPlace& place) override {
    return Bottleneck::stands_at(place.sublayer) ? std::make_shared<Bottleneck>(options_, place)
                                                 : nullptr;
  }

 private:
  BottleneckOptions options_;
};

/// A method of such blocks; none of them is a linear map.
template <class Bottleneck>
AdapterMethod bottleneck_method(MethodText text) {
  text.merges = false;
  return layerwise<BottleneckOptions, Bottleneck, BottleneckSet<Bottleneck>>(std::move(text));
}

}  // namespace mtlora
