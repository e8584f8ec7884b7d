// Houlsby's adapters: h ← h + U swish(V h + v) + u, after the dropout of both sublayers and before
// their residuals. Houlsby et al. 2019, arXiv:1902.00751, section 2.1; swish, and V, U with biases,
// as "HAdapter" in MTLoRA's repository.

#include "lib/adapters/bottleneck.h"

namespace mtlora {
namespace {

class Houlsby final : public BottleneckBlock {
 public:
  Houlsby(const BottleneckOptions& o, const BlockPlace& place) : BottleneckBlock(o, place) {}
  static bool stands_at(Sublayer) { return true; }

  Tensor forward(const Tensor& hidden, const Tensor&, const Norm&) override {
    return hidden + through(hidden, [](const Tensor& x) { return at::silu(x); });
  }
};

}  // namespace

AdapterMethod houlsby() {
  return bottleneck_method<Houlsby>(
      {.name = "houlsby",
       .summary = "Bottleneck adapters after attention and after the feed-forward block.",
       .equation = "h ← h + U·swish(V·h + v) + u",
       .source = "Houlsby et al. 2019, arXiv:1902.00751"});
}

}  // namespace mtlora
