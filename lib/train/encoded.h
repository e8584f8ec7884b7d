// A data set as token ids, ready to be put into batches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/data/task.h"
#include "lib/text/tokenizer.h"

namespace mtlora {

struct EncodeOptions {
  int64_t max_length = 512;  ///< tokens, special ones included
  int threads = 1;
};

/// An example that is token ids already.
struct EncodedExample {
  std::vector<int32_t> ids, segments;
  double label;
};

class EncodedSet {
 public:
  explicit EncodedSet(const std::vector<EncodedExample>& examples);
  EncodedSet(const Dataset& data, bool has_pair, const Tokenizer& tokenizer,
             const EncodeOptions& options);

  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  int64_t length(int64_t i) const { return begin_[at(i) + 1] - begin_[at(i)]; }  ///< tokens
  std::span<const int32_t> ids(int64_t i) const { return part(ids_, i); }
  std::span<const int32_t> segments(int64_t i) const { return part(segments_, i); }
  double label(int64_t i) const { return labels_[at(i)]; }
  int64_t tokens() const { return begin_.back(); }
  int64_t truncated() const { return truncated_; }  ///< examples that lost tokens to max_length

 private:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  std::span<const int32_t> part(const std::vector<int32_t>& all, int64_t i) const {
    return std::span(all).subspan(at(begin_[at(i)]), at(length(i)));
  }

  std::vector<int32_t> ids_, segments_;
  std::vector<int64_t> begin_ = {0};
  std::vector<double> labels_;
  int64_t truncated_ = 0;
};

}  // namespace mtlora
