// What the ways of opening a session share. For the files of this folder only.
#pragma once

#include <filesystem>
#include <optional>

#include "lib/run/session.h"

namespace mtlora {

struct Opening {
  bool is_alone = false;      ///< the model with the head it comes with; nothing is adapted
  bool learns = false;        ///< a split "train" has to be there, before weights are read
  bool fits_lengths = false;  ///< texts are cut to what the model takes, unless a length is named
  Rendezvous place = {};
  std::optional<std::filesystem::path> tokenizer = {};  ///< its folder, where it is not the model's
};

/// Everything a run needs, before its weights are settled. Throws Error.
Session open_with(const Json& config, const Opening& how);
/// Its two halves: the task, the tokenizer and the model; then the adapter of the session's options
/// (nothing but a frozen model, where it is alone), and what computes.
Session load(const Json& config, const Opening& how);
void adapt(Session& session, const Opening& how);

/// The configuration; where it names no task, with that of the model it names: see own_task().
Json with_own_task(Json config, std::optional<int64_t> outputs);

/// Whether a classifier has got its head from its model's weights.
bool has_own_head(const Session& session);

/// Says that nothing frozen will change any more.
void settle(Session& session);

}  // namespace mtlora
