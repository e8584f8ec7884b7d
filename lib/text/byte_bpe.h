// Byte-level BPE of GPT-2, RoBERTa and Llama 3: Sennrich et al. 2016, arXiv:1508.07909, over bytes
// (Radford et al. 2019). Words come from a pattern; within a word the pair of the lowest rank is
// merged, the leftmost first, until none is left.
#pragma once

#include <array>

#include "lib/text/merges.h"
#include "lib/text/tokenizer.h"
#include "lib/text/vocabulary.h"

namespace mtlora {

/// How a text is cut into words (byte_words.h); `none`: it is one word.
enum class WordPattern { none, gpt2, llama3 };

struct ByteBpeOptions {
  bool add_prefix_space = false;            ///< a text that does not begin with a space gets one
  WordPattern pattern = WordPattern::gpt2;  ///< none: Hugging Face's "use_regex": false
  bool split_digits = false;   ///< its Digits: each number sign is a text of its own before that
  bool ignore_merges = false;  ///< a word that is a token is not merged
  std::string unknown;         ///< for bytes without a token; "" where there is none
};

class ByteBpeTokenizer final : public Tokenizer {
 public:
  ByteBpeTokenizer(Vocabulary vocabulary, const Merges& merges, ByteBpeOptions options,
                   TokenizerParts parts);
  std::string decode(std::span<const int32_t> ids) const override;

 protected:
  std::string_view normalized(std::string_view text, std::string&) const override { return text; }
  void tokenize_plain(std::string_view text, Place, std::vector<int32_t>& ids) const override;
  int32_t model_size() const override { return vocabulary_.size(); }
  int32_t model_id(std::string_view token) const override { return vocabulary_.find(token); }
  const std::string* model_token(int32_t id) const override;

 private:
  /// Cuts a text into words.
  void append_words(std::string_view text, std::vector<int32_t>& ids) const;
  void append_word(std::string_view word, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  ByteBpeOptions options_;
  std::array<int32_t, 256> byte_ids_{};
};

/// The code point that stands for a byte in the vocabulary: itself where it is printable, else the
/// next free one from U+0100.
char32_t byte_symbol(unsigned char byte);

}  // namespace mtlora
