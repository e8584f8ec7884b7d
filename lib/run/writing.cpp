#include "lib/run/writing.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/core/signals.h"
#include "lib/core/utf8.h"

namespace mtlora {
namespace {

constexpr const char* kTwoBreaks = "\n\n";

std::string stripped(const std::string& text) {
  const char* space = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(space);
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

std::string text_of(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  const std::string text = replace_invalid_utf8(tokenizer.decode(ids));
  return stripped(text.substr(0, text.find(kTwoBreaks)));
}

}  // namespace

GeneratePlan generate_plan(const Session& session) {
  const GenerateOptions& options = session.options.generate;
  GeneratePlan plan{options.decoding, {}, options.batch_size, [] { return stop_signal() != 0; }};
  plan.end.ids.push_back(text_frame(*session.tokenizer).end);
  std::vector<int32_t> breaks;
  session.tokenizer->tokenize(kTwoBreaks, breaks);
  if (breaks.size() == 1) plan.end.ids.push_back(breaks[0]);
  return plan;
}

int64_t context_room(const Session& session) {
  const int64_t all = std::min(session.options.train.max_length, session.model().longest());
  const int64_t written = session.options.generate.decoding.max_new_tokens;
  if (all - written < 2)
    fail("/generate/max_new_tokens: {} leave no room for a context in {} tokens", written, all);
  return all - written;
}

std::vector<std::string> write_texts(const Session& session,
                                     const std::vector<std::string>& contexts,
                                     const Written& written) {
  const GeneratePlan plan = generate_plan(session);
  const TextFrame frame = text_frame(*session.tokenizer);
  const int64_t room = context_room(session);
  std::vector<std::vector<int32_t>> prompts;
  size_t cut = 0;
  for (const std::string& context : contexts) {
    const auto whole = prompt_ids(*session.tokenizer, frame, context, session.model().longest());
    prompts.push_back(prompt_ids(*session.tokenizer, frame, context, room));
    cut += prompts.back().size() < whole.size();
  }
  if (cut > 0)
    log::warn(
        fmt::format("{} of {} contexts are longer than {} tokens and lost their beginnings "
                    "(train.max_length less generate.max_new_tokens)",
                    cut, contexts.size(), room));
  std::vector<std::string> texts(contexts.size());
  generate(*session.language_model, prompts, plan, *session.pool,
           [&](size_t i, const std::vector<int32_t>& ids) {
             texts[i] = text_of(*session.tokenizer, ids);
             if (written) written(i, texts[i]);
           });
  return texts;
}

}  // namespace mtlora
