// Texts to the ids that a model reads: special tokens and truncation, as Hugging Face `tokenizers`
// does them (tokenizers/src/utils/truncation.rs, processors/template.rs).
#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/tokenizer.h"

namespace mtlora {
namespace {

using Ids = std::vector<int32_t>;

// What `max_length` leaves for the texts.
size_t room(const std::vector<Template::Piece>& pieces, size_t max_length) {
  const auto special = static_cast<size_t>(
      std::count_if(pieces.begin(), pieces.end(), [](const auto& piece) { return piece.id >= 0; }));
  if (max_length < special)
    fail(
        "a maximum length of {} tokens (train.max_length) is too short: the special tokens alone "
        "are {}",
        max_length, special);
  return max_length - special;
}

// The lengths of a pair in `room` tokens. Not "one token at a time from the longer": when both must
// give way the shorter one gets half, and the odd token goes to the longer (the second, if equal).
std::pair<size_t, size_t> longest_first(size_t first, size_t second, size_t room) {
  if (first + second <= room) return {first, second};
  const bool swapped = first > second;
  size_t shorter = std::min(first, second);
  size_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = shorter + room % 2;
  }
  return swapped ? std::pair{longer, shorter} : std::pair{shorter, longer};
}

// Cuts the tail off, or the front, and says how many tokens that were.
size_t cut(const Tokenizer& tokenizer, Ids& ids, size_t length) {
  const size_t dropped = ids.size() - std::min(length, ids.size());
  const auto count = static_cast<std::ptrdiff_t>(dropped);
  const auto from = tokenizer.cuts_front() ? ids.begin() : ids.end() - count;
  ids.erase(from, from + count);
  return dropped;
}

Encoding assemble(const std::vector<Template::Piece>& pieces, const Ids& first, const Ids& second) {
  Encoding result;
  result.ids.reserve(first.size() + second.size() + pieces.size());
  for (const auto& [id, segment] : pieces) {
    if (id >= 0) {
      result.ids.push_back(id);
    } else {
      const Ids& text = id == Template::kFirst ? first : second;
      result.ids.insert(result.ids.end(), text.begin(), text.end());
    }
    result.segments.resize(result.ids.size(), segment);
  }
  return result;
}

}  // namespace

Encoding encode(const Tokenizer& tokenizer, std::string_view text, size_t max_length) {
  const auto& pieces = tokenizer.frame().single;
  const size_t length = room(pieces, max_length);
  Ids ids;
  tokenizer.tokenize(text, ids);
  const size_t dropped = cut(tokenizer, ids, length);
  Encoding result = assemble(pieces, ids, {});
  result.dropped_tokens = dropped;
  return result;
}

Encoding encode_pair(const Tokenizer& tokenizer, std::string_view first, std::string_view second,
                     size_t max_length) {
  const auto& pieces = tokenizer.frame().pair;
  const size_t length = room(pieces, max_length);
  Ids a, b;
  tokenizer.tokenize(first, a);
  tokenizer.tokenize(second, b);
  const auto [keep_a, keep_b] = longest_first(a.size(), b.size(), length);
  const size_t dropped = cut(tokenizer, a, keep_a) + cut(tokenizer, b, keep_b);
  Encoding result = assemble(pieces, a, b);
  result.dropped_tokens = dropped;
  return result;
}

}  // namespace mtlora
