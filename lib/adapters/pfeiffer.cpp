// Pfeiffer's adapters: h ← h + U ReLU(V n + v) + u with n = LayerNorm(h + residual), after the
// feed-forward block alone. Pfeiffer et al. 2021, arXiv:2005.00247; the norm before V, which is the
// layer's own, as "PAdapter" in MTLoRA's repository.

#include "lib/adapters/bottleneck.h"

namespace mtlora {
namespace {

class Pfeiffer final : public BottleneckBlock {
 public:
  Pfeiffer(const BottleneckOptions& o, const BlockPlace& place) : BottleneckBlock(o, place) {}
  static bool stands_at(Sublayer sublayer) { return sublayer == Sublayer::feed_forward; }

  Tensor forward(const Tensor& hidden, const Tensor& residual, const Norm& norm) override {
    const Tensor normed = norm(hidden + residual);
    return hidden + through(normed, [](const Tensor& x) { return at::relu(x); });
  }
};

}  // namespace

AdapterMethod pfeiffer() {
  return bottleneck_method<Pfeiffer>(
      {.name = "pfeiffer",
       .summary = "Bottleneck adapters after the feed-forward block.",
       .equation = "h ← h + U·ReLU(V·LayerNorm(h + residual) + v) + u",
       .source = "Pfeiffer et al. 2021, arXiv:2005.00247"});
}

}  // namespace mtlora
