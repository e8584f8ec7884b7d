// How a normalized text is cut into words before SentencePiece's models see it: Hugging Face's
// pre-tokenizers WhitespaceSplit, Punctuation and Metaspace, in this order.
// Source: tokenizers 0.23.3, pre_tokenizers/metaspace.rs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "lib/text/tokenizer.h"

namespace mtlora {

/// A space becomes `symbol`, and a word begins at each one.
struct Metaspace {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string symbol = "\xe2\x96\x81";
  Prepend prepend = Prepend::kAlways;  ///< which pieces get a symbol where they have none in front
  bool split = true;                   ///< off: a piece stays one word
};

class PreTokenizer {
 public:
  struct Options {
    bool split_white_space = false;  ///< words end at white space, which goes away
    bool split_punctuation = false;  ///< each punctuation character is a piece by itself
    std::optional<Metaspace> metaspace;
  };
  PreTokenizer() = default;
  /// Throws Error for Prepend::kFirst behind white space that goes away.
  explicit PreTokenizer(Options options);
  /// Calls `word` for each word of a piece of text, in order.
  void operator()(std::string_view text, Place place,
                  const std::function<void(std::string_view)>& word) const;
  const Options& options() const { return options_; }
  /// Whether a text gets a space in front that it did not have.
  bool begins_with_space() const;

 private:
  using Piece = std::function<void(std::string_view text, Place place)>;
  void split_at_space(std::string_view text, Place place, const Piece& piece) const;
  void split_punctuation(std::string_view text, Place place, const Piece& piece) const;
  void split_words(std::string_view text, Place place,
                   const std::function<void(std::string_view)>& word) const;

  Options options_;
};

}  // namespace mtlora
