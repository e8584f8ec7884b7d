// Which methods and optimizers go together, and what of the one the other does not heed.

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/nn/names.h"
#include "lib/run/session.h"
#include "lib/train/parameters.h"

namespace mtlora {
namespace {

// Where some layers have pairs and others none, as MTLoRA's with a core for several parts, these
// would go by AdamW at a learning rate that is not for it.
void require_pairs_everywhere(const Session& s) {
  if (s.trained.pairs.empty()) return;
  for (const Slot& slot : linear_slots(s.model()))
    if (slot.linear->adapter() && slot.linear->adapter()->factor_pairs().empty())
      fail(
          "/optimizer/name: lora_rite moves the two factors of a change together, and those of {} "
          "are no pair, as its parts share one core; set adapter.method.core to \"part\", or use "
          "adamw",
          slot.layer);
}

void warn_of_dropout(const Session& s) {
  if (const double p = s.options.adapter.method.options.value("dropout", 0.0); p > 0)
    log::warn(
        fmt::format("adapter.method.dropout {} does nothing: {} looks at losses alone, and these "
                    "are computed without dropout",
                    p, s.options.optimizer.name));
}

}  // namespace

std::unique_ptr<Optimizer> open_optimizer(const Session& s) {
  const std::string& name = s.options.optimizer.name;
  if (name == "lora_rite") require_pairs_everywhere(s);
  auto optimizer = make_optimizer(s.options.optimizer, parameters_of(s.trained));
  if (optimizer->uses_gradients()) return optimizer;
  if (s.trained.set->needs_gradients())
    fail(
        "/optimizer/name: {} does without gradients, and the method {} works on them; choose "
        "adamw, or another method",
        name, s.options.adapter.method.name);
  warn_of_dropout(s);
  return optimizer;
}

}  // namespace mtlora
