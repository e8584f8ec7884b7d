#include "lib/run/writing.h"

#include <algorithm>
#include <set>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/core/signals.h"
#include "lib/core/utf8.h"
#include "lib/data/shown_text.h"
#include "lib/run/language_folder.h"

namespace mtlora {
namespace {

constexpr const char* kTwoBreaks = "\n\n";

std::string stripped(const std::string& text) {
  const char* space = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(space);
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

TextFrame frame_of(const Session& session) {
  const Tokenizer& tokenizer = *session.tokenizer;
  return session.options.generate.separator ? text_frame(tokenizer) : plain_frame(tokenizer);
}

// Without special tokens, and without ids that a model with more of them than its tokenizer has
// written: they stand for no text.
std::vector<int32_t> of_text(const Tokenizer& tokenizer, std::vector<int32_t> ids) {
  std::erase_if(ids, [&](int32_t id) { return tokenizer.is_special(id) || !tokenizer.has(id); });
  return ids;
}

// What the text of a prompt becomes longer by. Not the text of what is written alone: that loses a
// space at its beginning where a tokenizer sets one before a text.
std::string continuation(const Tokenizer& tokenizer, const std::vector<int32_t>& prompt,
                         const std::vector<int32_t>& written) {
  std::vector<int32_t> ids = of_text(tokenizer, prompt);
  const std::string before = tokenizer.decode(ids);
  ids.insert(ids.end(), written.begin(), written.end());
  const std::string whole = tokenizer.decode(ids);
  return whole.starts_with(before) ? whole.substr(before.size()) : tokenizer.decode(written);
}

std::string text_of(const Session& session, const std::vector<int32_t>& prompt,
                    const std::vector<int32_t>& ids) {
  const Tokenizer& tokenizer = *session.tokenizer;
  const std::vector<int32_t> written = of_text(tokenizer, ids);
  if (!session.options.generate.separator)
    return replace_invalid_utf8(continuation(tokenizer, prompt, written));
  const std::string text = replace_invalid_utf8(tokenizer.decode(written));
  return stripped(text.substr(0, text.find(kTwoBreaks)));
}

PromptIds prompt_of(const Session& session, const std::string& context, int64_t longest) {
  PromptIds prompt = prompt_ids(*session.tokenizer, frame_of(session), context, longest);
  const int32_t begin = session.tokenizer->special().bos;
  // an empty prompt, as transformers has it
  if (prompt.ids.empty() && begin >= 0) prompt.ids.push_back(begin);
  return prompt;
}

}  // namespace

GeneratePlan generate_plan(const Session& session) {
  const GenerateOptions& options = session.options.generate;
  GeneratePlan plan{options.decoding, {}, options.batch_size, [] { return stop_signal() != 0; }};
  std::set<int32_t> ends = model_ends(session);
  if (const int32_t end = frame_of(session).end; end >= 0) ends.insert(end);
  std::vector<int32_t> breaks;
  session.tokenizer->tokenize(kTwoBreaks, breaks);
  if (options.separator && breaks.size() == 1) ends.insert(breaks[0]);
  plan.end.ids.assign(ends.begin(), ends.end());
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
  const int64_t room = context_room(session);
  std::vector<std::vector<int32_t>> prompts;
  size_t cut = 0;
  for (const std::string& context : contexts) {
    PromptIds prompt = prompt_of(session, context, room);
    prompts.push_back(std::move(prompt.ids));
    cut += prompt.is_cut;
  }
  if (cut > 0)
    log::warn(
        fmt::format("{} of {} contexts are longer than {} tokens and lost their beginnings "
                    "(train.max_length less generate.max_new_tokens)",
                    cut, contexts.size(), room));
  std::vector<std::string> texts(contexts.size());
  const auto answered = [&](size_t i, const std::vector<int32_t>& ids) {
    texts[i] = text_of(session, prompts[i], ids);
    if (written) written(i, texts[i]);
  };
  try {
    generate(*session.language_model, prompts, plan, *session.pool, answered);
  } catch (const PromptError& e) {
    fail("the context \"{}\": {}", shown_text(contexts[e.prompt]), e.why);
  }
  return texts;
}

}  // namespace mtlora
