#include "lib/text/character_bpe.h"

#include <charconv>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

constexpr std::string_view kFault = "\xEF\xBF\xBD";  // U+FFFD, for a byte that is no text

}  // namespace

std::string byte_token(unsigned char byte) {
  return fmt::format("<0x{:02X}>", byte);
}

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return -1;
  unsigned byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? static_cast<int>(byte) : -1;
}

std::string with_spaces(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const bool is_space = text.substr(at).starts_with(kSpaceSymbol);
    out += is_space ? ' ' : text[at];
    at += is_space ? kSpaceSymbol.size() : 1;
  }
  return out;
}

void PieceText::add(std::string_view spelled, bool is_byte) {
  if (is_byte) {
    bytes_ += static_cast<char>(byte_of_token(spelled));
    return;
  }
  end_run();
  text_ += with_spaces(spelled);
}

std::string PieceText::take(bool drops_first_space) {
  end_run();
  if (drops_first_space && text_.starts_with(' ')) text_.erase(0, 1);
  return std::move(text_);
}

void PieceText::end_run() {
  std::string_view rest = bytes_;
  if (faults_ == Faults::kRun && invalid_utf8(rest)) {
    for (size_t i = 0; i < rest.size(); ++i) text_ += kFault;
    rest = {};
  }
  for (auto bad = invalid_utf8(rest); bad; bad = invalid_utf8(rest)) {
    text_.append(rest.substr(0, *bad)).append(kFault);
    rest.remove_prefix(*bad + 1);
  }
  text_.append(rest);
  bytes_.clear();
}

CharacterBpeTokenizer::CharacterBpeTokenizer(Vocabulary vocabulary, const Merges& merges,
                                             CharacterBpeOptions options, TokenizerParts parts)
    : Tokenizer(std::move(parts)),
      vocabulary_(std::move(vocabulary)),
      merges_(merges, vocabulary_),
      options_(std::move(options)) {
  if (!options_.unknown.empty()) unknown_ = vocabulary_.find(options_.unknown);
  if (!options_.unknown.empty() && unknown_ < 0)
    fail("the vocabulary has no token \"{}\" for what is unknown", options_.unknown);
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte)
    byte_ids_[byte] = vocabulary_.find(byte_token(static_cast<unsigned char>(byte)));
  set_added_tokens();
}

const std::string* CharacterBpeTokenizer::model_token(int32_t id) const {
  return vocabulary_.has(id) ? &vocabulary_.token(id) : nullptr;
}

std::string_view CharacterBpeTokenizer::normalized(std::string_view text,
                                                   std::string& buffer) const {
  return options_.normalizer(text, buffer);
}

bool CharacterBpeTokenizer::append_bytes(std::string_view character,
                                         std::vector<int32_t>& ids) const {
  const size_t before = ids.size();
  for (const char c : character) {
    ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    if (ids.back() < 0) return ids.resize(before), false;
  }
  return true;
}

void CharacterBpeTokenizer::tokenize_plain(std::string_view text, Place place,
                                           std::vector<int32_t>& ids) const {
  options_.pre_tokenizer(text, place, [&](std::string_view word) { append_word(word, ids); });
}

void CharacterBpeTokenizer::append_word(std::string_view text, std::vector<int32_t>& ids) const {
  const size_t begin = ids.size();
  bool was_unknown = false;
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    next_code_point(text, at);
    const std::string_view character = text.substr(from, at - from);
    const int32_t id = vocabulary_.find(character);
    const bool is_known = id >= 0 || (options_.byte_fallback && append_bytes(character, ids));
    if (id >= 0) ids.push_back(id);
    if (!is_known && unknown_ >= 0 && !(options_.fuse_unknown && was_unknown))
      ids.push_back(unknown_);
    was_unknown = !is_known;
  }
  merges_.merge(begin, ids);
}

std::string CharacterBpeTokenizer::decode(std::span<const int32_t> ids) const {
  PieceText text(PieceText::Faults::kRun);
  for (const int32_t id : ids) {
    const std::string& spelled = token(id);
    text.add(spelled, options_.byte_fallback && byte_of_token(spelled) >= 0);
  }
  return text.take(options_.begins_with_space);
}

}  // namespace mtlora
