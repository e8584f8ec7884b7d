#include "lib/text/byte_bpe.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/byte_words.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

struct Alphabet {
  std::array<char32_t, 256> symbol;
  std::array<int, 512> byte;  // of a code point below 512, -1 where it stands for none
};

const Alphabet& alphabet() {
  static const Alphabet table = [] {
    Alphabet made;
    made.byte.fill(-1);
    char32_t next = 256;
    for (char32_t b = 0; b < 256; ++b) {
      const bool printable = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
      made.symbol[b] = printable ? b : next++;
      made.byte[made.symbol[b]] = static_cast<int>(b);
    }
    return made;
  }();
  return table;
}

// The bytes that a token stands for; false where it is not spelled in the byte alphabet.
bool token_bytes(std::string_view token, std::string& bytes) {
  for (size_t at = 0; at < token.size();) {
    const char32_t c = next_code_point(token, at);
    const int byte = c < alphabet().byte.size() ? alphabet().byte[c] : -1;
    if (byte < 0) return false;
    bytes += static_cast<char>(byte);
  }
  return true;
}

size_t word_end(WordPattern pattern, std::string_view text, size_t begin) {
  if (pattern == WordPattern::gpt2) return gpt2_word_end(text, begin);
  return pattern == WordPattern::llama3 ? llama3_word_end(text, begin) : text.size();
}

// A word as the vocabulary spells it.
std::string spelled(std::string_view word) {
  std::string symbols;
  for (const char c : word) append_utf8(byte_symbol(static_cast<unsigned char>(c)), symbols);
  return symbols;
}

}  // namespace

char32_t byte_symbol(unsigned char byte) {
  return alphabet().symbol[byte];
}

ByteBpeTokenizer::ByteBpeTokenizer(Vocabulary vocabulary, const Merges& merges,
                                   ByteBpeOptions options, TokenizerParts parts)
    : Tokenizer(std::move(parts)),
      vocabulary_(std::move(vocabulary)),
      merges_(merges, vocabulary_),
      options_(std::move(options)) {
  const int32_t unknown = options_.unknown.empty() ? -1 : vocabulary_.find(options_.unknown);
  if (!options_.unknown.empty() && unknown < 0)
    fail("the vocabulary has no token \"{}\" for unknown bytes", options_.unknown);
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(byte_symbol(static_cast<unsigned char>(byte)), symbol);
    const int32_t id = vocabulary_.find(symbol);
    byte_ids_[byte] = id >= 0 ? id : unknown;
  }
  set_added_tokens();
}

const std::string* ByteBpeTokenizer::model_token(int32_t id) const {
  return vocabulary_.has(id) ? &vocabulary_.token(id) : nullptr;
}

void ByteBpeTokenizer::tokenize_plain(std::string_view text, Place,
                                      std::vector<int32_t>& ids) const {
  std::string with_space;
  if (options_.add_prefix_space && !text.empty() && text[0] != ' ') {
    with_space.append(" ").append(text);
    text = with_space;
  }
  if (!options_.split_digits) return append_words(text, ids);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = digits_piece_end(text, begin);
    append_words(text.substr(begin, end - begin), ids);
    begin = end;
  }
}

void ByteBpeTokenizer::append_words(std::string_view text, std::vector<int32_t>& ids) const {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = word_end(options_.pattern, text, begin);
    append_word(text.substr(begin, end - begin), ids);
    begin = end;
  }
}

void ByteBpeTokenizer::append_word(std::string_view word, std::vector<int32_t>& ids) const {
  if (options_.ignore_merges)
    if (const int32_t id = vocabulary_.find(spelled(word)); id >= 0) return ids.push_back(id);
  const size_t begin = ids.size();
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte_ids_[byte] < 0)
      fail("the vocabulary has neither a token for the byte 0x{:02X} nor one for unknown bytes",
           byte);
    ids.push_back(byte_ids_[byte]);
  }
  merges_.merge(begin, ids);
}

std::string ByteBpeTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) {
    std::string bytes;
    const std::string& spelled = token(id);
    text += !added(id) && token_bytes(spelled, bytes) ? bytes : spelled;
  }
  return text;
}

}  // namespace mtlora
