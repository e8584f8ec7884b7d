// How good the texts are that a language model writes for a split.
#pragma once

#include <filesystem>

#include "lib/run/session.h"

namespace mtlora {

/// Says of the scores what has to be known of them: METEOR's, without its data, is another.
void tell_of_scores(const Session& session);

/// The same; and throws Error where score_split() would, as far as that can be seen before anything
/// is written.
void check_scoring(const Session& session, const std::string& split);

/// {"metrics": {"all": {"bleu": {"score": …}, …}, "seen": …}, "examples", "missing_reference", …}:
/// the scores of the task's preset for the texts written for the split's prompts, of all and of
/// each group. Where `folder` is given, the texts are written to its <split>.outputs.txt, one a
/// line. What reading the split has found is the caller's to tell().
Json score_split(const Session& session, const TextData& data, const std::filesystem::path& folder);

}  // namespace mtlora
