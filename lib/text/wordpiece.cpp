#include "lib/text/wordpiece.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}
bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

enum class Kind : uint8_t { kWord, kSpace, kPunctuation };

Kind kind_of(char32_t c) {
  if (is_whitespace(c)) return Kind::kSpace;
  return is_punctuation(c) ? Kind::kPunctuation : Kind::kWord;
}

const std::array<Kind, 128>& ascii_kinds() {
  static const auto kinds = [] {
    std::array<Kind, 128> table;
    for (char32_t c = 0; c < 128; ++c) table[c] = kind_of(c);
    return table;
  }();
  return kinds;
}

// The ASCII part of BertNormalizer; -1 drops the character.
int normalized_ascii(char c, const WordPieceOptions& options) {
  if (options.clean_text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return ' ';
    if (c < ' ' || c == 0x7F) return -1;
  }
  return options.lowercase && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(Vocabulary vocabulary, WordPieceOptions options,
                                       TokenizerParts parts)
    : Tokenizer(std::move(parts)),
      vocabulary_(std::move(vocabulary)),
      continuing_(static_cast<size_t>(vocabulary_.size())),
      options_(std::move(options)),
      strip_accents_(options_.strip_accents.value_or(options_.lowercase)),
      unknown_(vocabulary_.find(options_.unknown)) {
  if (unknown_ < 0) fail("the vocabulary has no token \"{}\" for unknown words", options_.unknown);
  const std::string_view prefix = options_.continuing_prefix;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    if (vocabulary_.find(token) == id && token.starts_with(prefix))
      continuing_.set(token.substr(prefix.size()), id);
  }
  set_added_tokens();
}

const std::string* WordPieceTokenizer::model_token(int32_t id) const {
  return vocabulary_.has(id) ? &vocabulary_.token(id) : nullptr;
}

void WordPieceTokenizer::append_normalized(std::string_view stretch, std::string& out) const {
  std::u32string kept;
  for (size_t at = 0; at < stretch.size();) {
    char32_t c = next_code_point(stretch, at);
    if (options_.clean_text) {
      if (is_dropped(c)) continue;
      if (is_whitespace(c)) c = ' ';
    }
    if (options_.separate_ideographs && is_ideograph(c)) {
      kept.append({U' ', c, U' '});
    } else {
      kept += c;
    }
  }
  const auto append = [&](char32_t c) {
    options_.lowercase ? append_lower(c, out) : append_utf8(c, out);
  };
  if (!strip_accents_) {
    for (const char32_t c : kept) append(c);
    return;
  }
  for (const char32_t c : decompose(kept))
    if (!is_nonspacing_mark(c)) append(c);
}

std::string_view WordPieceTokenizer::normalized(std::string_view text, std::string& buffer) const {
  buffer.reserve(text.size() + 16);
  for (size_t at = 0; at < text.size();) {
    if (is_ascii(text[at])) {
      const int c = normalized_ascii(text[at++], options_);
      if (c >= 0) buffer += static_cast<char>(c);
      continue;
    }
    // ASCII begins anew: it has no decomposition and marks do not move across it. A dropped control
    // character would let them, so a stretch takes those along.
    size_t end = at;
    while (end < text.size() && (!is_ascii(text[end]) || normalized_ascii(text[end], options_) < 0))
      ++end;
    append_normalized(text.substr(at, end - at), buffer);
    at = end;
  }
  return buffer;
}

void WordPieceTokenizer::tokenize_plain(std::string_view text, Place,
                                        std::vector<int32_t>& ids) const {
  const auto& ascii = ascii_kinds();
  size_t word = 0;  // where the open word begins
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const Kind kind = is_ascii(text[at]) ? ascii[static_cast<size_t>(text[at++])]
                                         : kind_of(next_code_point(text, at));
    if (kind == Kind::kWord) continue;
    append_word(text.substr(word, begin - word), ids);
    if (kind == Kind::kPunctuation) append_word(text.substr(begin, at - begin), ids);
    word = at;
  }
  append_word(text.substr(word), ids);
}

void WordPieceTokenizer::append_word(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.empty()) return;
  if (word.size() > options_.longest_word &&
      static_cast<size_t>(word.size() -
                          static_cast<size_t>(std::count_if(word.begin(), word.end(), continues))) >
          options_.longest_word) {
    ids.push_back(unknown_);
    return;
  }
  const size_t before = ids.size();
  for (size_t begin = 0; begin < word.size();) {
    const StringIndex& index = begin == 0 ? vocabulary_.index() : continuing_;
    size_t end = std::min(word.size(), begin + index.longest());
    int32_t id = -1;
    for (; end > begin; --end) {
      if (end < word.size() && continues(word[end])) continue;
      id = index.find(word.substr(begin, end - begin));
      if (id >= 0) break;
    }
    if (id < 0) {  // no piece fits here: the whole word is unknown
      ids.resize(before);
      ids.push_back(unknown_);
      return;
    }
    ids.push_back(id);
    begin = end;
  }
}

std::string WordPieceTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    std::string_view piece = token(ids[i]);
    const bool continues_word = piece.starts_with(options_.continuing_prefix);
    if (i > 0 && continues_word) piece.remove_prefix(options_.continuing_prefix.size());
    if (i > 0 && !continues_word) text += ' ';
    text += piece;
  }
  return text;
}

}  // namespace mtlora
