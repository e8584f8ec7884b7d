// Prompts in, token ids out: runs a language model for the searches of lib/decoding.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/backend/shards.h"
#include "lib/core/error.h"
#include "lib/decoding/search.h"
#include "lib/models/language_model.h"

namespace mtlora {

struct GeneratePlan {
  DecodingOptions decoding;
  EndTokens end;
  int64_t batch_size = 8;        ///< prompts decoded together by one thread; at least 1
  std::function<bool()> stop{};  ///< asked at every step; where it says true, Stopped is thrown
};

/// What is wrong with one prompt, or with what the model says of it.
struct PromptError : Error {
  PromptError(size_t index, const std::string& fault)
      : Error(fmt::format("prompt {} (counted from 0): {}", index, fault)),
        prompt(index),
        why(fault) {}
  size_t prompt;
  std::string why;
};

/// Called when a prompt is answered, from any thread but one at a time: its index and ids.
using Answered = std::function<void(size_t prompt, const std::vector<int32_t>& ids)>;

/// The generated ids of each prompt [prompt tokens], without the prompt and the end token. Prompts
/// of like length are decoded together; which ones depends on the prompts and the plan alone, so
/// the same call gives the same ids. Throws PromptError where a prompt is empty, longer than the
/// model allows beside max_new_tokens, or cannot be continued.
std::vector<std::vector<int32_t>> generate(LanguageModel& model,
                                           const std::vector<std::vector<int32_t>>& prompts,
                                           const GeneratePlan& plan, backend::ShardPool& pool,
                                           const Answered& answered = {});

}  // namespace mtlora
