// Tokens and their ids: looked up by text without an allocation, or by id.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mtlora {

/// From texts to ids. The texts belong to someone who outlives it.
class StringIndex {
 public:
  /// Room for `count` texts.
  explicit StringIndex(size_t count = 0);
  /// A text that is there already gets the new id.
  void set(std::string_view text, int32_t id);
  /// The text's id, -1 where it has none.
  int32_t find(std::string_view text) const;
  /// The length in bytes of the longest text.
  size_t longest() const { return longest_; }

 private:
  struct Slot {
    std::string_view text;
    int32_t id = -1;
  };
  size_t slot(std::string_view text) const;

  std::vector<Slot> slots_;  // open addressing, at most half full; a power of two
  size_t longest_ = 0;
};

/// A model's tokens. Ids may have holes; of two tokens with one text the later is found.
class Vocabulary {
 public:
  Vocabulary() = default;
  explicit Vocabulary(const std::vector<std::pair<std::string, int32_t>>& tokens);
  /// The index points into the tokens: moved (they stay where they are), not copied.
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  int32_t find(std::string_view token) const { return index_.find(token); }
  const StringIndex& index() const { return index_; }
  /// Whether a token has this id.
  bool has(int32_t id) const;
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }
  /// The largest id + 1.
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

 private:
  std::vector<std::string> tokens_;
  std::vector<bool> has_;
  StringIndex index_;
};

}  // namespace mtlora
