// Full fine-tuning: trains every tensor of the model.

#include "lib/adapters/no_slots.h"

namespace mtlora {

AdapterMethod full() {
  return without_slots({"full", "Trains every tensor of the model.", "W ← W + ΔW, b ← b + Δb",
                        "Devlin et al. 2019, arXiv:1810.04805"},
                       {"**"}, [](const Json&, int64_t in, int64_t out) { return in * out + out; });
}

}  // namespace mtlora
