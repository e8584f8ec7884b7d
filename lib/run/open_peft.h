#pragma once

#include "lib/run/session.h"

namespace mtlora {

/// An adapter that PEFT has saved, on its base model: that of `request` (model.path) or the folder
/// that the adapter names, and on the request's task or what the model's own config.json tells of
/// (see own_task()). Throws Error.
Session open_peft_session(const std::filesystem::path& folder, const ConfigSource& request);

/// The session of a checkpoint of ours, or of an adapter that PEFT has saved.
Session open_trained_session(const std::filesystem::path& folder, const ConfigSource& request);

}  // namespace mtlora
