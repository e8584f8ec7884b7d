// The unigram language model of Kudo 2018, arXiv:1804.10959, as Hugging Face `tokenizers` runs it:
// of all ways to cut a word into pieces the one with the largest sum of scores,
//   best(end) = max over pieces word[begin, end) of best(begin) + score(piece),
// in double precision; of equally good ones the longest last piece. A character without a piece of
// its own is unknown, at the least score of all pieces - 10; unknown neighbours are one.
// Source: tokenizers 0.23.3, models/unigram/model.rs (encode_optimized).
#pragma once

#include <array>
#include <optional>

#include "lib/text/normalizer.h"
#include "lib/text/piece_trie.h"
#include "lib/text/pre_tokenizer.h"
#include "lib/text/tokenizer.h"
#include "lib/text/vocabulary.h"

namespace mtlora {

struct UnigramModel {
  std::vector<std::pair<std::string, double>> pieces;  ///< with their scores, by id
  int32_t unknown = 0;
  bool byte_fallback = false;  ///< "<0xE2>" … stand for what is unknown
};

class UnigramTokenizer final : public Tokenizer {
 public:
  /// Throws Error where `unknown` is no piece.
  UnigramTokenizer(const UnigramModel& model, Normalizer normalizer, PreTokenizer pre_tokenizer,
                   TokenizerParts parts);
  std::string decode(std::span<const int32_t> ids) const override;

 protected:
  std::string_view normalized(std::string_view text, std::string& buffer) const override;
  void tokenize_plain(std::string_view text, Place place, std::vector<int32_t>& ids) const override;
  int32_t model_size() const override { return vocabulary_.size(); }
  int32_t model_id(std::string_view token) const override { return vocabulary_.find(token); }
  const std::string* model_token(int32_t id) const override;

 private:
  /// The last piece of the best way to the place where it ends.
  struct Best {
    double score = 0;
    size_t begin = 0;
    int32_t id = -1;  // none yet
  };
  void find_best(std::string_view word, std::vector<Best>& best) const;
  void append_word(std::string_view word, std::vector<Best>& best, std::vector<int32_t>& ids) const;
  /// Appends what stands for a stretch of unknown characters, its ids in backward order.
  void append_unknown(std::string_view stretch, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  PieceTrie trie_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  int32_t unknown_;
  double unknown_score_;
  std::optional<std::array<int32_t, 256>> byte_ids_;
};

/// The pieces as a vocabulary; of two equal ones the later is found.
Vocabulary vocabulary_of(const UnigramModel& model);

}  // namespace mtlora
