#include "lib/text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/unicode.h"

namespace mtlora {

PreTokenizer::PreTokenizer(Options options) : options_(std::move(options)) {
  if (options_.split_white_space && options_.metaspace &&
      options_.metaspace->prepend == Metaspace::Prepend::kFirst)
    fail("Metaspace with \"prepend_scheme\": \"first\" behind WhitespaceSplit is not implemented");
}

bool PreTokenizer::begins_with_space() const {
  return options_.metaspace && options_.metaspace->prepend != Metaspace::Prepend::kNever;
}

void PreTokenizer::operator()(std::string_view text, Place place,
                              const std::function<void(std::string_view)>& word) const {
  split_at_space(text, place, [&](std::string_view part, Place part_place) {
    split_punctuation(part, part_place, [&](std::string_view piece, Place piece_place) {
      split_words(piece, piece_place, word);
    });
  });
}

void PreTokenizer::split_at_space(std::string_view text, Place place, const Piece& piece) const {
  if (!options_.split_white_space) return piece(text, place);
  for (size_t at = 0, begin = 0; at < text.size();) {
    const size_t from = at;
    const bool is_space = is_whitespace(next_code_point(text, at));
    const size_t end = is_space ? from : at;
    if ((is_space || at == text.size()) && end > begin)
      piece(text.substr(begin, end - begin), begin == 0 ? place : Place::kInside);
    if (is_space) begin = at;
  }
}

void PreTokenizer::split_punctuation(std::string_view text, Place place, const Piece& piece) const {
  if (!options_.split_punctuation) return piece(text, place);
  const auto give = [&](size_t begin, size_t end) {
    if (end > begin) piece(text.substr(begin, end - begin), begin == 0 ? place : Place::kInside);
  };
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    if (!is_punctuation(next_code_point(text, at))) continue;
    give(done, from);
    give(from, at);
    done = at;
  }
  give(done, text.size());
}

void PreTokenizer::split_words(std::string_view text, Place place,
                               const std::function<void(std::string_view)>& word) const {
  if (text.empty()) return;
  if (!options_.metaspace) return word(text);
  const auto& [symbol, prepend, split] = *options_.metaspace;
  const bool is_wanted = prepend == Metaspace::Prepend::kAlways ||
                         (prepend == Metaspace::Prepend::kFirst && place == Place::kFirst);
  std::string spelled;
  if (is_wanted && !text.starts_with(' ') && !text.starts_with(symbol)) spelled = symbol;
  for (const char c : text) {
    if (c == ' ')
      spelled += symbol;
    else
      spelled += c;
  }
  const std::string_view whole = spelled;
  if (!split) return word(whole);
  for (size_t begin = 0; begin < whole.size();) {
    const size_t from = begin + (whole.substr(begin).starts_with(symbol) ? symbol.size() : 0);
    const size_t end = std::min(whole.find(symbol, from), whole.size());
    word(whole.substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace mtlora
