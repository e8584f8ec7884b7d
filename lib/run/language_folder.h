// What stands in a language model's folder beside weights and vocabulary, and counts when texts are
// written.
#pragma once

#include "lib/run/session.h"

namespace mtlora {

/// Warns where the folder, or the GGUF file, has a chat template: none is applied.
void warn_of_chat_template(const Session& session);

}  // namespace mtlora
