// BPE over characters, as Hugging Face `tokenizers` runs SentencePiece's BPE models (Llama): a
// space is U+2581, a text is one word (or split at them), and a character without a token becomes
// its bytes, "<0xE2>".
// Source: tokenizers 0.23.3, models/bpe/model.rs (merge_word), decoders/byte_fallback.rs;
// Kudo and Richardson 2018, arXiv:1808.06226.
#pragma once

#include <array>

#include "lib/text/merges.h"
#include "lib/text/normalizer.h"
#include "lib/text/pre_tokenizer.h"
#include "lib/text/tokenizer.h"
#include "lib/text/vocabulary.h"

namespace mtlora {

struct CharacterBpeOptions {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  bool begins_with_space = true;  ///< decoding takes the space before a text away
  bool byte_fallback = true;      ///< bytes stand for a character without a token
  bool fuse_unknown = true;       ///< several unknown characters are one unknown token
  std::string unknown;            ///< for what is left; "" drops it, as Hugging Face does
};

class CharacterBpeTokenizer final : public Tokenizer {
 public:
  CharacterBpeTokenizer(Vocabulary vocabulary, const Merges& merges, CharacterBpeOptions options,
                        TokenizerParts parts);
  std::string decode(std::span<const int32_t> ids) const override;

 protected:
  std::string_view normalized(std::string_view text, std::string& buffer) const override;
  void tokenize_plain(std::string_view text, Place place, std::vector<int32_t>& ids) const override;
  int32_t model_size() const override { return vocabulary_.size(); }
  int32_t model_id(std::string_view token) const override { return vocabulary_.find(token); }
  const std::string* model_token(int32_t id) const override;

 private:
  void append_word(std::string_view word, std::vector<int32_t>& ids) const;
  /// Appends the bytes of a character; false where a byte has no token.
  bool append_bytes(std::string_view character, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  CharacterBpeOptions options_;
  int32_t unknown_ = -1;
  std::array<int32_t, 256> byte_ids_{};
};

/// U+2581, which stands for a space.
inline constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";

/// "<0x0A>", the token of a byte.
std::string byte_token(unsigned char byte);
/// The byte that such a token stands for, -1 for any other.
int byte_of_token(std::string_view token);
/// `text` with every space symbol as a space.
std::string with_spaces(std::string_view text);

/// The text of tokens as they are spelled. The bytes of neighbouring byte tokens, a run, are text
/// where they are UTF-8.
class PieceText {
 public:
  /// What becomes U+FFFD where they are not: each byte of the run, as `tokenizers` has it
  /// (ByteFallback), or each wrong byte, as SentencePiece does.
  enum class Faults { kRun, kByte };
  explicit PieceText(Faults faults) : faults_(faults) {}

  /// A token; `is_byte`: one of byte_token().
  void add(std::string_view spelled, bool is_byte);
  /// All of it; `drops_first_space`: without a space that it begins with.
  std::string take(bool drops_first_space);

 private:
  void end_run();

  Faults faults_;
  std::string text_, bytes_;
};

}  // namespace mtlora
