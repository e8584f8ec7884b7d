// Writing texts with a language model: contexts in, texts out, as the task's outputs are made.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/generate/generate.h"
#include "lib/run/session.h"

namespace mtlora {

/// What the session's options, tokenizer and model ask of generate(): text ends at an end token of
/// either, and, behind a separator, at two line breaks where the tokenizer has a token for them
/// (GPT-2's 628).
GeneratePlan generate_plan(const Session& session);

/// Tokens that a context may have beside what is written. Throws Error where there is no room.
int64_t context_room(const Session& session);

/// Called when a context is answered, one at a time, in any order.
using Written = std::function<void(size_t context, const std::string& text)>;

/// The text written for each context, in order, without special tokens; bytes that are no UTF-8
/// become U+FFFD. With generate.separator it is cut at two line breaks and stripped (gpt2_decode.py
/// of microsoft/LoRA); else it is what the context goes on with. Warns of contexts that were cut to
/// fit. Throws Error naming the context that cannot be answered, and Stopped where a signal asks to
/// stop.
std::vector<std::string> write_texts(const Session& session,
                                     const std::vector<std::string>& contexts,
                                     const Written& written = {});

}  // namespace mtlora
