// What stands in a language model's folder beside weights and vocabulary, and counts when texts are
// written.
#pragma once

#include <cstdint>
#include <set>

#include "lib/run/session.h"

namespace mtlora {

/// The tokens that end a text by eos_token_id, a number or a list, of generation_config.json or,
/// where that is not there or says nothing, of config.json. Those that the model has no logit for
/// are left out: they are never written. Throws Error for one that is no token.
std::set<int32_t> model_ends(const Session& session);

/// Warns where the folder, or the GGUF file, has a chat template: none is applied.
void warn_of_chat_template(const Session& session);

}  // namespace mtlora
