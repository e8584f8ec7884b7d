// What a run that is done leaves and tells: result.json, and a few lines on stdout.
#pragma once

#include <filesystem>
#include <string>

#include "lib/run/session.h"
#include "lib/train/trainer.h"

namespace mtlora {

/// What result.json says; `hashes` are those of the data.
Json train_result(const RunState& state, const Session& session, const Json& hashes);

/// {"bleu": 55.1, "seen": {"bleu": 62.0}} of a split on stdout, a line each, and in the log.
void print_scores(const std::string& split, const Json& scores);

/// The best metrics, the steps and the folder, after all else on stdout and in the log. That
/// stdout's reader has left ("… 2>&1 | head -1") is no fault: result.json has it all.
void print_result(const RunState& state, const std::filesystem::path& folder);

}  // namespace mtlora
