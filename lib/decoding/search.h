// Decoding: which tokens to choose from a language model's scores. No model here: whoever runs one
// hands over the logits of the rows that a search asks for, and is told how each row goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/core/options.h"

namespace mtlora {

struct DecodingOptions {
  std::string decoder = "reference";
  int64_t beams = 10, max_new_tokens = 64, no_repeat_ngram = 4;
  double length_penalty = 0.8;
  std::string early_stopping = "heuristic";
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1;
  int64_t seed = 0;

  void fields(Fields& f);
};

/// Where generation ends: any of these tokens (GPT-2: {50256, 628}); there may be none.
struct EndTokens {
  std::vector<int32_t> ids;

  bool contains(int32_t token) const;
};

/// One prompt being decoded. Its result depends on its own logits only, not on what is decoded
/// beside it.
///
///     auto search = start_search(…);
///     search->step(logits of the prompt's last token);       // rows() is 1 before the first step
///     while (!search->done())
///       search->step(logits after next_tokens(), row i having continued row parents()[i]);
///
/// step() checks what it is given and leaves the choice to a decoder's choose().
class Search {
 public:
  explicit Search(int64_t vocab) : vocab_(vocab) {}
  virtual ~Search() = default;
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  /// The rows whose logits the next step() wants: 1, then the number of next_tokens(); 0 when done.
  int64_t rows() const { return rows_; }
  bool done() const { return rows_ == 0; }

  /// Chooses tokens. logits: rows() pointers to [vocab] raw logits, which may hold -inf. Throws
  /// Error when they hold NaN or +inf, or nothing but -inf. The step that ends the search leaves no
  /// rows.
  void step(std::span<const float* const> logits);

  /// The token of each new row; [rows()].
  const std::vector<int32_t>& next_tokens() const { return next_tokens_; }
  /// The row of the last step's logits that each new row continues; [rows()]. A row may be
  /// continued by several or by none; the best new row comes first.
  const std::vector<int32_t>& parents() const { return parents_; }

  /// The generated ids without the end token; once done.
  virtual std::vector<int32_t> result() const = 0;
  /// Of the result: a beam search's sum of log-probabilities by its length's penalty; greedy's and
  /// sampling's plain sum of what the model gave them.
  virtual double score() const = 0;

 protected:
  virtual void choose(std::span<const float* const> logits) = 0;
  /// The rows to run next; without any, the search is done.
  void go_on(std::vector<int32_t> next_tokens, std::vector<int32_t> parents);

  const int64_t vocab_;

 private:
  int64_t rows_ = 1;
  std::vector<int32_t> next_tokens_, parents_;
};

/// prompt_key: names the prompt for sampling, which is a function of (seed, prompt_key, step).
/// prompt_ids: the prompt, for n-gram bans that look at it. Throws Error where options, end tokens
/// and vocabulary do not go together.
std::unique_ptr<Search> start_search(const DecodingOptions& options, const EndTokens& end,
                                     int64_t vocab, uint64_t prompt_key,
                                     std::span<const int32_t> prompt_ids);

}  // namespace mtlora
