// BitFit: trains every bias of the model, those of the norms included, and nothing else.
// Ben Zaken et al. 2022, arXiv:2106.10199; the rule "name contains bias" as in the code of MTLoRA's
// experiments.

#include "lib/adapters/no_slots.h"

namespace mtlora {

AdapterMethod bitfit() {
  return without_slots({"bitfit", "Trains every bias of the model.", "b ← b + Δb",
                        "Ben Zaken et al. 2022, arXiv:2106.10199"},
                       {"*bias*"}, [](const Json&, int64_t, int64_t out) { return out; });
}

}  // namespace mtlora
