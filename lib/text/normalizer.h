// The steps of a "normalizer" of Hugging Face `tokenizers` (checked against 0.23.3) that models of
// SentencePiece have: each makes a text of a text.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// Writes what becomes of `text` to `out`, which is empty; or returns false where it stays as it
/// is.
using NormalizerStep = std::function<bool(std::string_view text, std::string& out)>;

/// A sequence of steps.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}
  /// The text after all steps: `text` itself or `buffer`. Any number of threads may call it.
  std::string_view operator()(std::string_view text, std::string& buffer) const;

 private:
  std::vector<NormalizerStep> steps_;
};

/// Lower case of each code point by itself.
NormalizerStep lowercase();
/// A normal form of Unicode.
enum class Form { kNfc, kNfd, kNfkc, kNfkd };
NormalizerStep unicode_form(Form form);
/// White space at the ends goes away.
struct StripEnds {
  bool left, right;
};
NormalizerStep strip(StripEnds ends);
/// `content` for each `pattern`, from the left.
NormalizerStep replace(std::string pattern, std::string content);
/// `content` for each run of two or more spaces: the pattern " {2,}".
NormalizerStep replace_space_runs(std::string content);
/// `content` for two or more white space characters and for each single one of "\n\r\t": the
/// pattern "\s{2,}|[\n\r\t]" of transformers' DebertaV2Tokenizer.
NormalizerStep replace_white_space(std::string content);
/// `prefix` before a text that is not empty.
NormalizerStep prepend(std::string prefix);
/// SentencePiece's own table, the bytes of "precompiled_charsmap"; see charsmap.h. Throws Error
/// where they are none.
NormalizerStep precompiled(std::string_view bytes);

}  // namespace mtlora
