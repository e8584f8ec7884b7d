#include "lib/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/text/unicode.h"

namespace mtlora {

void Tokenizer::set_added_tokens() {
  std::vector<AddedTokens::Entry> raw, after;
  for (const AddedToken& token : parts_.added) {
    std::string buffer;
    if (token.normalized) {
      after.push_back({std::string(normalized(token.content, buffer)), token});
    } else {
      raw.push_back({token.content, token});
    }
  }
  raw_ = AddedTokens(std::move(raw));
  after_normalizing_ = AddedTokens(std::move(after));
}

void Tokenizer::tokenize(std::string_view text, std::vector<int32_t>& ids) const {
  if (const auto bad = invalid_utf8(text))
    fail("the text is not UTF-8: its byte {} is wrong", *bad);
  const auto add = [&](int32_t id) { ids.push_back(id); };
  std::string buffer;
  const auto normalize_and_split = [&](std::string_view piece) {
    buffer.clear();
    const std::string_view whole = normalized(piece, buffer);
    const auto plain = [&](std::string_view part) {
      const bool is_first = piece.data() == text.data() && part.data() == whole.data();
      tokenize_plain(part, is_first ? Place::kFirst : Place::kInside, ids);
    };
    after_normalizing_.split(whole, plain, add);
  };
  raw_.split(text, normalize_and_split, add);
}

void Tokenizer::save(const std::filesystem::path& folder) const {
  for (const auto& [name, content] : parts_.extracted) write_file_in_place(folder / name, content);
  if (!parts_.extracted.empty()) return;
  for (const auto& file : parts_.files)
    write_file_in_place(folder / file.filename(), read_file(file));
}

uintmax_t Tokenizer::saved_bytes() const {
  uintmax_t bytes = 0;
  for (const auto& [name, content] : parts_.extracted) bytes += content.size();
  if (bytes > 0) return bytes;
  for (const auto& file : parts_.files) bytes += std::filesystem::file_size(file);
  return bytes;
}

const AddedToken* Tokenizer::added(int32_t id) const {
  const auto at = std::find_if(parts_.added.begin(), parts_.added.end(),
                               [&](const AddedToken& token) { return token.id == id; });
  return at == parts_.added.end() ? nullptr : &*at;
}

int32_t Tokenizer::vocab_size() const {
  int32_t size = model_size();
  for (const AddedToken& token : parts_.added) size = std::max(size, token.id + 1);
  return size;
}

bool Tokenizer::has(int32_t id) const {
  return added(id) || model_token(id);
}

const std::string& Tokenizer::token(int32_t id) const {
  if (const AddedToken* token = added(id)) return token->content;
  const std::string* token = model_token(id);
  if (!token) fail("no token has the id {} (the vocabulary has ids below {})", id, vocab_size());
  return *token;
}

int32_t Tokenizer::id(std::string_view token) const {
  for (const AddedToken& one : parts_.added)
    if (one.content == token) return one.id;
  return model_id(token);
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = added(id);
  return token && token->special;
}

}  // namespace mtlora
