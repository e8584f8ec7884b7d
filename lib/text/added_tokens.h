// Tokens that are found in a text before the model sees it, special ones such as [MASK] among them:
// Hugging Face's AddedVocabulary.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool lstrip = false, rstrip = false;  ///< takes the white space before (after) it along
  bool normalized = false;              ///< looked for in the normalized text, not in the raw one
  bool special = false;
};

/// A set of added tokens and the search for them.
class AddedTokens {
 public:
  /// `pattern` of a token is what is looked for: its content, or its normalized content.
  struct Entry {
    std::string pattern;
    AddedToken token;
  };
  AddedTokens() = default;
  explicit AddedTokens(std::vector<Entry> entries);

  bool empty() const { return entries_.empty(); }

  /// Cuts `text` at the tokens in it, the longest at the leftmost place first: calls `between` for
  /// each piece that is not empty and `found` for each token, in order.
  void split(std::string_view text, const std::function<void(std::string_view)>& between,
             const std::function<void(int32_t)>& found) const;

 private:
  const Entry* match(std::string_view text) const;

  std::vector<Entry> entries_;      // longest first
  std::array<bool, 256> starts_{};  // whether a pattern begins with this byte
};

}  // namespace mtlora
