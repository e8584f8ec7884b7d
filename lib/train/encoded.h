// A data set as token ids, ready to be put into batches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/core/error.h"
#include "lib/data/task.h"
#include "lib/data/text_task.h"
#include "lib/text/tokenizer.h"

namespace mtlora {

struct EncodeOptions {
  int64_t max_length = 512;  ///< tokens, special ones included
  int threads = 1;
  int64_t max_overlong = 0;  ///< texts whose contexts leave no room for them that may be left out
};

/// An example that is token ids already. A text to be learned has segment 0 for the tokens that are
/// given and 1 for those that are to be learned.
struct EncodedExample {
  std::vector<int32_t> ids, segments;
  double label;
};

/// What stands between a context and its completion, and at the end.
struct TextFrame {
  std::vector<int32_t> begin;  ///< before the context
  int32_t separator, end;      ///< -1: none
};
/// GPT-2's way (microsoft/LoRA, examples/NLG): end of text separates and ends; a tokenizer without
/// such a token is refused. Throws Error.
TextFrame text_frame(const Tokenizer& tokenizer);
/// Of a prompt that is continued as it is: no separator, and an end where the tokenizer has one.
TextFrame plain_frame(const Tokenizer& tokenizer);
/// The ids that are given before a completion begins: begin, context, separator.
struct PromptIds {
  std::vector<int32_t> ids;
  bool is_cut;  ///< the context's first tokens are not among them
};
/// At most `longest` of them, but for what stands around a context.
PromptIds prompt_ids(const Tokenizer& tokenizer, const TextFrame& frame, const std::string& context,
                     int64_t longest);

struct EncodedShare;

class EncodedSet {
 public:
  explicit EncodedSet(const std::vector<EncodedExample>& examples);
  /// Texts to be learned: begin, context, separator, " " + completion, end; cut to max_length
  /// tokens at the end. Those of which nothing is left to be learned are left out; throws Error
  /// naming them where they are more than may be, or all.
  EncodedSet(const TextData& data, const Tokenizer& tokenizer, const EncodeOptions& options);
  EncodedSet(const Dataset& data, bool has_pair, const Tokenizer& tokenizer,
             const EncodeOptions& options);

  /// The first `count` examples.
  EncodedSet first(int64_t count) const;
  /// Those of these numbers, in their order; which of them were cut is forgotten.
  EncodedSet chosen(const std::vector<int64_t>& numbers) const;

  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  int64_t length(int64_t i) const { return begin_[at(i) + 1] - begin_[at(i)]; }  ///< tokens
  std::span<const int32_t> ids(int64_t i) const { return part(ids_, i); }
  std::span<const int32_t> segments(int64_t i) const { return part(segments_, i); }
  /// Tokens of segment 1 after the first token: what a language model learns of a text.
  int64_t targets(int64_t i) const { return targets_[at(i)]; }
  double label(int64_t i) const { return labels_[at(i)]; }
  int64_t tokens() const { return begin_.back(); }
  int64_t truncated() const { return truncated_; }  ///< examples that lost tokens to max_length
  int64_t overlong() const { return overlong_; }    ///< texts that were left out
  /// The first 20 of these, a line each: file:line: what is wrong.
  const std::string& overlong_texts() const { return overlong_texts_; }
  /// 16 digits that other tokens or lengths change.
  std::string hash() const;

 private:
  void take(const std::vector<EncodedShare>& shares);
  void leave_out(const Problems& overlong, const std::string& split, size_t count,
                 const EncodeOptions& options);
  void count_targets();
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  std::span<const int32_t> part(const std::vector<int32_t>& all, int64_t i) const {
    return std::span(all).subspan(at(begin_[at(i)]), at(length(i)));
  }

  std::vector<int32_t> ids_, segments_;
  std::vector<int64_t> begin_ = {0};
  std::vector<double> labels_;
  std::vector<int64_t> targets_;
  int64_t truncated_ = 0, overlong_ = 0;
  std::string overlong_texts_;
};

}  // namespace mtlora
