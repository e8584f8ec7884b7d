#pragma once

#include "lib/run/session.h"

namespace mtlora {

/// Opens the session that a checkpoint was made with, its weights restored, with the tokenizer that
/// it holds. `request` may override options, but not what the tensors mean: see
/// require_same_method(). Labels that it puts in another order get their outputs in that order.
/// Throws Error.
Session open_checkpoint_session(const std::filesystem::path& folder, const ConfigSource& request);

/// Throws Error unless the checkpoint was trained on the base weights of this session.
void require_same_base(const std::filesystem::path& checkpoint, const Session& session);

/// Throws Error, with `advice`, where the checkpoint's tensors mean something else with the
/// adapter's method of `options`: another method, or another value of an option that does more than
/// to say how it is trained (AdapterMethod::of_training).
void require_same_method(const std::filesystem::path& checkpoint, const RunOptions& options,
                         const std::string& advice);

}  // namespace mtlora
