// Bytes to token ids and back, equal to Hugging Face `tokenizers` (checked against 0.23.3) for the
// BERT, RoBERTa, GPT-2, Llama and DeBERTa-v2 families, and to SentencePiece (checked against
// 0.2.3). The LlamaTokenizer of transformers 5 itself may differ from `tokenizers` on the same
// tokenizer.json by a U+2581 ("legacy"), behind special tokens and before a text that begins with
// spaces: `tokenizers` is followed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/text/added_tokens.h"

namespace mtlora {

/// The ids of the special tokens, -1 where a tokenizer has none. GPT-2's begin and end are one.
struct SpecialIds {
  int32_t cls = -1;  ///< [CLS], or the beginning <s>
  int32_t sep = -1;  ///< [SEP], or the end </s>
  int32_t pad = -1;
  int32_t unk = -1;
  int32_t mask = -1;
  int32_t bos = -1;  ///< what a generated text begins after, where its model has such a token
  int32_t eos = -1;  ///< what a generated text ends with
};

/// What stands around one text or a pair: special tokens and the places of the texts.
struct Template {
  static constexpr int32_t kFirst = -1, kSecond = -2;
  struct Piece {
    int32_t id;  ///< of a special token, or kFirst, kSecond: the text's own tokens
    int32_t segment;
  };
  std::vector<Piece> single, pair;
};

/// Where a piece stands in its text: the first, or behind an added token.
enum class Place { kFirst, kInside };

/// All that a tokenizer has besides its model.
struct TokenizerParts {
  std::vector<AddedToken> added;
  SpecialIds special;
  Template frame;
  bool cuts_front = false;  ///< truncation takes a text's first tokens, not its last
  std::vector<std::filesystem::path> files;
  /// Where it is a part of a file that holds more: names and contents of files that hold only it.
  std::vector<std::pair<std::string, std::string>> extracted;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Appends the ids of `text`, without the special tokens around it; added tokens inside it are
  /// recognised. Any number of threads may call it at once. Throws Error where `text` is not UTF-8:
  /// ask `invalid_utf8` (unicode.h) first, where file and line are known.
  void tokenize(std::string_view text, std::vector<int32_t>& ids) const;

  /// The text of `ids`, special tokens included. Byte-level: the very bytes, which may be part of a
  /// character. WordPiece: the pieces glued, with a space between words. SentencePiece: without the
  /// space before the first word, and with U+FFFD for byte pieces that are no text. Throws Error
  /// for an id that no token has.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;

  /// The largest id + 1, added tokens included: the rows that an embedding must have.
  int32_t vocab_size() const;
  /// Whether an id is that of a token: a model may have more ids than its tokenizer.
  bool has(int32_t id) const;
  /// The token of an id as the vocabulary spells it ("##ing", "Ġthe"). Throws Error for an unknown
  /// id.
  const std::string& token(int32_t id) const;
  /// The id of an added or model token, -1 where there is none.
  int32_t id(std::string_view token) const;
  const SpecialIds& special() const { return parts_.special; }
  /// Whether `id` is one of the special added tokens.
  bool is_special(int32_t id) const;
  const Template& frame() const { return parts_.frame; }
  /// Whether truncation takes a text's first tokens instead of its last ("truncation_side").
  bool cuts_front() const { return parts_.cuts_front; }
  /// The files it was loaded from: a folder that holds copies of them loads as the same tokenizer.
  const std::vector<std::filesystem::path>& files() const { return parts_.files; }
  /// Writes files to `folder` that load as the same tokenizer: copies of files(), or, of a GGUF
  /// file, a tokenizer.json and tokenizer_config.json. Throws Error where they cannot be written.
  void save(const std::filesystem::path& folder) const;
  /// How many bytes these files take.
  uintmax_t saved_bytes() const;

 protected:
  explicit Tokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}
  /// Sorts the added tokens into those of raw and of normalized text; the last act of a
  /// constructor.
  void set_added_tokens();
  const AddedToken* added(int32_t id) const;

  /// `text` as the model wants it, in `buffer` if it had to be changed.
  virtual std::string_view normalized(std::string_view text, std::string& buffer) const = 0;
  /// Appends the ids of a normalized text without added tokens.
  virtual void tokenize_plain(std::string_view text, Place place,
                              std::vector<int32_t>& ids) const = 0;
  /// The model's own tokens.
  virtual int32_t model_size() const = 0;
  virtual int32_t model_id(std::string_view token) const = 0;
  virtual const std::string* model_token(int32_t id) const = 0;

 private:
  TokenizerParts parts_;
  AddedTokens raw_, after_normalizing_;
};

/// One or two texts with the special tokens of the family.
struct Encoding {
  std::vector<int32_t> ids, segments;  ///< [tokens]; segments are Hugging Face's token_type_ids
  size_t dropped_tokens = 0;           ///< tokens of the texts that truncation took away
};

/// `text` with its special tokens, in at most `max_length` tokens: the text's last tokens go, or
/// its first ones where the tokenizer cuts the front. Throws Error where not even the special
/// tokens fit.
Encoding encode(const Tokenizer& tokenizer, std::string_view text, size_t max_length);

/// The same for a pair, truncated as Hugging Face's "longest_first" does.
Encoding encode_pair(const Tokenizer& tokenizer, std::string_view first, std::string_view second,
                     size_t max_length);

/// Reads the tokenizer of a Hugging Face model folder: `tokenizer.json`, or else `tokenizer.model`
/// (SentencePiece, Llama), or else `spm.model` (DeBERTa-v2, -v3), or else `vocab.txt`
/// (BERT), or else `vocab.json` and `merges.txt` (RoBERTa where it has <s>, GPT-2 otherwise), or
/// else the only GGUF file in it; the options and token names of `tokenizer_config.json` and
/// `special_tokens_map.json` count. Or reads that of a GGUF file. Throws one Error that names what
/// is missing or what is not implemented.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder_or_gguf);

}  // namespace mtlora
