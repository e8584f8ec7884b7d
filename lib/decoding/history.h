// A row's tokens, and which tokens would repeat an n-gram of them (fairseq's no_repeat_ngram;
// Paulus et al. 2018, "A deep reinforced model for abstractive summarization", section 2.5).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mtlora::decoding {

/// Grows by a token at a time. A beam that branches copies its history: the tokens and a flat table
/// of places, no rescan.
class History {
 public:
  /// ngram: no sequence of so many tokens may come twice; 0 where any may.
  explicit History(int64_t ngram, std::span<const int32_t> tokens = {});

  void add(int32_t token);
  /// The tokens that would repeat an n-gram if they came next; the same one may stand twice.
  /// Expected time: that of hashing ngram-1 tokens, and one look at each token found.
  std::vector<int32_t> banned() const;
  const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  /// The n-1 tokens before `end`.
  std::span<const int32_t> context(size_t end) const;
  static size_t hash(std::span<const int32_t> context);
  void insert(int32_t place);
  void grow();

  size_t ngram_;
  std::vector<int32_t> tokens_;
  // Open addressing, linear probing, at most half full: the place of a token that has n-1 tokens
  // before it, under the hash of those; 0 for none (kept as place + 1).
  std::vector<int32_t> table_;
  size_t used_ = 0;
};

}  // namespace mtlora::decoding
