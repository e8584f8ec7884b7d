// The words that METEOR compares: its English normaliser (flag -norm), a Moses tokenizer that also
// unifies quotes and dashes and takes apart what is joined by a dash.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mtlora {

/// Words whose dot does not end a sentence ("Dr"), from Moses' nonbreaking prefixes.
class NonbreakingPrefixes {
 public:
  enum class When { never, before_number, always };

  NonbreakingPrefixes() = default;  ///< none
  /// Reads a line a prefix, `#NUMERIC_ONLY#` behind those that stay before numbers only.
  explicit NonbreakingPrefixes(const std::filesystem::path& file);
  When when(const std::string& word) const;

 private:
  std::unordered_map<std::string, When> prefixes_;
};

/// `text`, UTF-8, in lower case. Throws Error where it is not UTF-8.
std::string meteor_lower(std::string_view text);

struct MeteorWords {
  enum class Normalize { none, lower, full };
  Normalize normalize = Normalize::full;
  bool punctuation = true;  ///< false: left out (only with Normalize::full)
  NonbreakingPrefixes prefixes;

  /// The words of `text`. Throws Error where it is not UTF-8.
  std::vector<std::string> operator()(std::string_view text) const;
};

}  // namespace mtlora
