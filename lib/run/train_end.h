// How a run ends: final texts and scores, and what is written and told of it.
#pragma once

#include <filesystem>
#include <string>

#include "lib/run/job.h"
#include "lib/run/session.h"
#include "lib/train/trainer.h"

namespace mtlora {

/// "signal 1 (Hangup)"
std::string signal_name(int signal);

/// What the leader does when training is done: final texts and scores, and result.json. Returns the
/// exit code: 0, or 128 + the signal that stopped it on the way; a resumed run goes on from here.
int finish_run(Job& job, const Session& session, const Trainer& trainer, const Json& hashes,
               const std::filesystem::path& folder);

}  // namespace mtlora
