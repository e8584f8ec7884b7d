// PEFT's tensors → the adapters and trained tensors of a session. For the files of this folder
// only.
#pragma once

#include <string>
#include <vector>

#include "lib/run/peft_folder.h"
#include "lib/run/session.h"

namespace mtlora {

/// Writes what the folder holds into `into`, by the names of our checkpoints; a layer of which the
/// model adapts rows (GPT-2's c_attn) gives each of these its own. Throws Error listing every
/// tensor that is missing, unexpected (unless a pattern of `ignored` fits it) or of another shape,
/// and where the session's method would compute something else with them. Before the weights are
/// settled.
void restore_peft(const PeftFolder& peft, const Session& session, const NamedTensors& into,
                  const std::vector<std::string>& ignored);

}  // namespace mtlora
