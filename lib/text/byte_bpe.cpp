#include "lib/text/byte_bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <tuple>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/text/gpt2_words.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

constexpr uint64_t kNoPair = ~uint64_t{0};

uint64_t pair_of(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

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

// A token of a word while it is merged, in a list linked both ways.
struct Symbol {
  int32_t id, previous, next;
  bool gone = false;
};

// A merge that was possible when it was queued. Ordered by rank, then place.
struct Candidate {
  int32_t rank, at, id;
  bool operator>(const Candidate& other) const {
    return std::tie(rank, at) > std::tie(other.rank, other.at);
  }
};

}  // namespace

char32_t byte_symbol(unsigned char byte) {
  return alphabet().symbol[byte];
}

MergeTable::MergeTable(const Merges& merges, const Vocabulary& vocabulary)
    : slots_(std::bit_ceil(2 * merges.size() + 2), Slot{kNoPair, {}}) {
  int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    const auto id = [&](const std::string& token) {
      const int32_t found = vocabulary.find(token);
      if (found < 0)
        fail(
            "the merge \"{} {}\" (number {}) needs the token \"{}\", which the vocabulary does not "
            "have",
            left, right, rank + 1, token);
      return found;
    };
    const uint64_t pair = pair_of(id(left), id(right));
    slots_[slot(pair)] = {pair, {rank, id(left + right)}};
    ++rank;
  }
}

size_t MergeTable::slot(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  size_t at = mix64(pair) & mask;
  while (slots_[at].pair != kNoPair && slots_[at].pair != pair) at = (at + 1) & mask;
  return at;
}

const MergeTable::Merge* MergeTable::find(int32_t left, int32_t right) const {
  const Slot& found = slots_[slot(pair_of(left, right))];
  return found.pair == kNoPair ? nullptr : &found.merge;
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

void ByteBpeTokenizer::tokenize_plain(std::string_view text, std::vector<int32_t>& ids) const {
  std::string with_space;
  if (options_.add_prefix_space && !text.empty() && text[0] != ' ') {
    with_space.append(" ").append(text);
    text = with_space;
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = options_.use_pattern ? gpt2_word_end(text, begin) : text.size();
    append_word(text.substr(begin, end - begin), ids);
    begin = end;
  }
}

void ByteBpeTokenizer::append_word(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t begin = ids.size();
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte_ids_[byte] < 0)
      fail("the vocabulary has neither a token for the byte 0x{:02X} nor one for unknown bytes",
           byte);
    ids.push_back(byte_ids_[byte]);
  }
  merge(begin, ids);
}

void ByteBpeTokenizer::merge(size_t begin, std::vector<int32_t>& ids) const {
  thread_local std::vector<Symbol> symbols;
  thread_local std::vector<Candidate> heap;
  symbols.clear();
  heap.clear();
  const auto count = static_cast<int32_t>(ids.size() - begin);
  const auto symbol = [&](int32_t at) -> Symbol& { return symbols[static_cast<size_t>(at)]; };
  const auto queue = [&](int32_t left, int32_t right) {
    if (left < 0 || right >= count) return;
    if (const auto* merge = merges_.find(symbol(left).id, symbol(right).id)) {
      heap.push_back({merge->rank, left, merge->id});
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };
  for (int32_t at = 0; at < count; ++at)
    symbols.push_back({ids[begin + static_cast<size_t>(at)], at - 1, at + 1});
  for (int32_t at = 0; at + 1 < count; ++at) queue(at, at + 1);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Candidate top = heap.back();
    heap.pop_back();
    Symbol& left = symbol(top.at);
    if (left.gone || left.next >= count) continue;
    // The pair may have changed since. As in Hugging Face, what counts is that it still gives this
    // token, even by another merge.
    Symbol& right = symbol(left.next);
    const auto* merge = merges_.find(left.id, right.id);
    if (!merge || merge->id != top.id) continue;
    left.id = top.id;
    left.next = right.next;
    right.gone = true;
    if (right.next < count) symbol(right.next).previous = top.at;
    queue(left.previous, top.at);
    queue(top.at, left.next);
  }
  ids.resize(begin);
  for (int32_t at = 0; at < count; at = symbol(at).next) ids.push_back(symbol(at).id);
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
