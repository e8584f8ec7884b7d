// BERT's tokenizer: BertNormalizer, BertPreTokenizer and WordPiece, the greedy longest match of
// Schuster and Nakajima 2012 as used by Devlin et al. 2018, arXiv:1810.04805.
#pragma once

#include <optional>

#include "lib/text/tokenizer.h"
#include "lib/text/vocabulary.h"

namespace mtlora {

struct WordPieceOptions {
  bool lowercase = true;
  std::optional<bool> strip_accents;  ///< as `lowercase` where it is not said
  bool clean_text = true;             ///< drops control characters, makes all white space a space
  bool separate_ideographs = true;    ///< Hugging Face's handle_chinese_chars
  std::string unknown = "[UNK]";
  std::string continuing_prefix = "##";
  size_t longest_word = 100;  ///< in code points; a longer word is unknown as a whole
};

class WordPieceTokenizer final : public Tokenizer {
 public:
  WordPieceTokenizer(Vocabulary vocabulary, WordPieceOptions options, TokenizerParts parts);
  std::string decode(std::span<const int32_t> ids) const override;

 protected:
  std::string_view normalized(std::string_view text, std::string& buffer) const override;
  void tokenize_plain(std::string_view text, Place, std::vector<int32_t>& ids) const override;
  int32_t model_size() const override { return vocabulary_.size(); }
  int32_t model_id(std::string_view token) const override { return vocabulary_.find(token); }
  const std::string* model_token(int32_t id) const override;

 private:
  /// Normalizes what is not ASCII: a stretch up to the next ASCII code point.
  void append_normalized(std::string_view stretch, std::string& out) const;
  void append_word(std::string_view word, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  StringIndex continuing_;  // "ing" for "##ing"
  WordPieceOptions options_;
  bool strip_accents_;
  int32_t unknown_;
};

}  // namespace mtlora
