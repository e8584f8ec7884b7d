#include "lib/data/text_collect.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "lib/core/random.h"
#include "lib/data/collect.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

void check_text(std::string_view name, const std::string& text) {
  if (const auto at = invalid_utf8(text))
    fail("the {} is not UTF-8 from its byte {} on", name, *at + 1);
}

void check_texts(const TextEntry& entry) {
  check_text("context", entry.context);
  for (const std::string& text : entry.texts) check_text("text", text);
  if (!entry.references) return;
  for (const std::string& text : *entry.references) check_text("reference", text);
}

std::string counted(size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string counts(size_t entries, size_t texts) {
  return counted(entries, "entry", "entries") + " with " + counted(texts, "text", "texts");
}

}  // namespace

void TextCollector::begin_file(const std::filesystem::path& file, std::string_view bytes) {
  const uint64_t hash = name_key(bytes);
  hash_ = data_.files.empty() ? hash : combine(hash_, hash);
  data_.files.push_back(file);
  valid_utf8_ = !invalid_utf8(bytes);
}

void TextCollector::add(size_t line, const std::function<TextEntry()>& read) {
  try {
    TextEntry entry = read();
    if (!valid_utf8_) check_texts(entry);
    take(std::move(entry), line);
  } catch (const Error& e) {
    problems_.add(fmt::format("{}:{}: {}", data_.files.back().string(), line, e.what()));
  }
}

void TextCollector::take(TextEntry&& entry, size_t line) {
  Prompt prompt{entry.context, entry.references.value_or(entry.texts), std::move(entry.group)};
  const size_t file = data_.files.size() - 1;
  for (std::string& text : entry.texts)
    data_.pairs.push_back({entry.context, std::move(text), file, line});
  data_.prompts.push_back(std::move(prompt));
}

TextData TextCollector::finish(const Finish& with) {
  const std::string origin = with.origin.string();
  data_.hash = fmt::format("{:016x}", hash_);
  data_.malformed = problems_.count();
  data_.malformed_rows = problems_.text();
  check_malformed(problems_, origin, data_.prompts.size(), with.max_malformed);
  if (data_.prompts.empty()) fail("{}: there is no entry in it", origin);
  if (data_.split == "train" && data_.pairs.empty())
    fail("{}: there is no text to learn from in its {}", origin,
         counted(data_.prompts.size(), "entry", "entries"));
  note_counts(with.known);
  if (with.prompts == Prompts::distinct) join_prompts();
  note_texts();
  return std::move(data_);
}

// Which of the known files this is, or how it differs from them.
void TextCollector::note_counts(const std::vector<KnownCounts>& known) {
  const size_t entries = data_.prompts.size(), texts = data_.pairs.size();
  std::vector<std::string> others;
  for (const KnownCounts& k : known) {
    if (k.split != data_.split) continue;
    if (k.entries == entries && k.texts == texts) {
      if (!k.name.empty()) note(fmt::format("this is {}", k.name));
      return;
    }
    others.push_back(counts(k.entries, k.texts) + (k.name.empty() ? "" : " in " + k.name));
  }
  if (!others.empty())
    note(fmt::format("{}; known are {}", counts(entries, texts), fmt::join(others, ", ")));
}

void TextCollector::note_texts() {
  for (const auto& [comment, count] : left_out_)
    note(fmt::format("{} left out: the comment is \"{}\", not \"good\"",
                     counted(count, "text is", "texts are"), comment));
  const auto empty = std::count_if(data_.pairs.begin(), data_.pairs.end(),
                                   [](const TextPair& pair) { return pair.completion.empty(); });
  if (empty > 0)
    note(
        fmt::format("{} empty; kept", counted(static_cast<size_t>(empty), "text is", "texts are")));
  const auto blank =
      std::count_if(data_.pairs.begin(), data_.pairs.end(), [](const TextPair& pair) {
        return !pair.completion.empty() &&
               pair.completion.find_first_not_of(" \t\r\n") == std::string::npos;
      });
  if (blank > 0)
    note(fmt::format("{} white space alone; kept",
                     counted(static_cast<size_t>(blank), "text is", "texts are")));
  const auto alone = std::count_if(data_.prompts.begin(), data_.prompts.end(),
                                   [](const Prompt& prompt) { return prompt.references.empty(); });
  if (alone > 0)
    note(fmt::format("{} of {} prompts without references: not to be scored", alone,
                     data_.prompts.size()));
}

void TextCollector::join_prompts() {
  std::unordered_map<std::string, size_t> place;
  std::vector<Prompt> distinct;
  for (Prompt& prompt : data_.prompts) {
    const auto [at, is_new] =
        place.try_emplace(prompt.group + '\0' + prompt.context, distinct.size());
    if (is_new) {
      distinct.push_back(std::move(prompt));
      continue;
    }
    std::vector<std::string>& references = distinct[at->second].references;
    std::move(prompt.references.begin(), prompt.references.end(), std::back_inserter(references));
  }
  data_.prompts = std::move(distinct);
}

}  // namespace mtlora
