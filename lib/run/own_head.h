// A model that comes with a head of its own, on a task of ours.
#pragma once

#include "lib/run/session.h"

namespace mtlora {

/// Puts the head's outputs in the task's order of labels where the model's config.json names the
/// same labels in another one (roberta-large-mnli: contradiction first). Throws Error where there
/// are more or fewer. To be called before the weights are settled.
void fit_own_head(Session& session);

}  // namespace mtlora
