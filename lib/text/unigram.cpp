#include "lib/text/unigram.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/character_bpe.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

constexpr double kUnknownPenalty = 10;

std::vector<double> scores_of(const UnigramModel& model) {
  std::vector<double> scores;
  for (const auto& [piece, score] : model.pieces) scores.push_back(score);
  return scores;
}

PieceTrie trie_of(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, int32_t>> strings;
  for (int32_t id = 0; id < vocabulary.size(); ++id) strings.emplace_back(vocabulary.token(id), id);
  return PieceTrie(std::move(strings));
}

}  // namespace

Vocabulary vocabulary_of(const UnigramModel& model) {
  std::vector<std::pair<std::string, int32_t>> tokens;
  for (const auto& [piece, score] : model.pieces)
    tokens.emplace_back(piece, static_cast<int32_t>(tokens.size()));
  return Vocabulary(tokens);
}

UnigramTokenizer::UnigramTokenizer(const UnigramModel& model, Normalizer normalizer,
                                   PreTokenizer pre_tokenizer, TokenizerParts parts)
    : Tokenizer(std::move(parts)),
      vocabulary_(vocabulary_of(model)),
      scores_(scores_of(model)),
      trie_(trie_of(vocabulary_)),
      normalizer_(std::move(normalizer)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      unknown_(model.unknown) {
  if (!vocabulary_.has(unknown_))
    fail("the unknown token's id {} is not one of the {} pieces", unknown_, vocabulary_.size());
  unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  if (model.byte_fallback) {
    byte_ids_.emplace();
    for (size_t byte = 0; byte < byte_ids_->size(); ++byte)
      (*byte_ids_)[byte] = vocabulary_.find(byte_token(static_cast<unsigned char>(byte)));
  }
  set_added_tokens();
}

const std::string* UnigramTokenizer::model_token(int32_t id) const {
  return vocabulary_.has(id) ? &vocabulary_.token(id) : nullptr;
}

std::string_view UnigramTokenizer::normalized(std::string_view text, std::string& buffer) const {
  return normalizer_(text, buffer);
}

void UnigramTokenizer::tokenize_plain(std::string_view text, Place place,
                                      std::vector<int32_t>& ids) const {
  std::vector<Best> best;
  pre_tokenizer_(text, place, [&](std::string_view word) { append_word(word, best, ids); });
}

void UnigramTokenizer::find_best(std::string_view word, std::vector<Best>& best) const {
  best.assign(word.size() + 1, {});
  for (size_t begin = 0; begin < word.size();) {
    const double so_far = best[begin].score;
    const auto offer = [&](size_t length, int32_t id, double score) {
      Best& there = best[begin + length];
      if (there.id < 0 || so_far + score > there.score)
        there = {.score = so_far + score, .begin = begin, .id = id};
    };
    size_t after = begin;
    next_code_point(word, after);
    bool is_known = false;
    trie_.prefixes(word.substr(begin), [&](size_t length, int32_t id) {
      offer(length, id, scores_[static_cast<size_t>(id)]);
      is_known = is_known || begin + length == after;
    });
    if (!is_known) offer(after - begin, unknown_, unknown_score_);
    begin = after;
  }
}

void UnigramTokenizer::append_word(std::string_view word, std::vector<Best>& best,
                                   std::vector<int32_t>& ids) const {
  find_best(word, best);
  const auto first = static_cast<std::ptrdiff_t>(ids.size());
  for (size_t end = word.size(); end > 0;) {
    size_t begin = best[end].begin;
    if (best[end].id != unknown_) {
      ids.push_back(best[end].id);
    } else {
      while (begin > 0 && best[begin].id == unknown_) begin = best[begin].begin;
      append_unknown(word.substr(begin, end - begin), ids);
    }
    end = begin;
  }
  std::reverse(ids.begin() + first, ids.end());
}

void UnigramTokenizer::append_unknown(std::string_view stretch, std::vector<int32_t>& ids) const {
  const int32_t whole = vocabulary_.find(stretch);
  const auto id_of = [&](char byte) { return (*byte_ids_)[static_cast<unsigned char>(byte)]; };
  const bool as_bytes =
      whole < 0 && byte_ids_ &&
      std::all_of(stretch.begin(), stretch.end(), [&](char byte) { return id_of(byte) >= 0; });
  if (!as_bytes) return ids.push_back(whole >= 0 ? whole : unknown_);
  std::transform(stretch.rbegin(), stretch.rend(), std::back_inserter(ids), id_of);
}

std::string UnigramTokenizer::decode(std::span<const int32_t> ids) const {
  PieceText text(PieceText::Faults::kRun);
  for (const int32_t id : ids) {
    const std::string& spelled = token(id);
    text.add(spelled, byte_ids_ && byte_of_token(spelled) >= 0);
  }
  return text.take(pre_tokenizer_.begins_with_space());
}

}  // namespace mtlora
