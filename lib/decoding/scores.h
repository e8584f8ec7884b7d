// Log-probabilities of one row of logits, and the best continuations of several rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/decoding/history.h"

namespace mtlora::decoding {

/// Logits and what makes log-probabilities of them: log p(token) = logit - log_sum.
struct Scores {
  std::span<const float> logits;  ///< [vocab]
  double log_sum = 0;             ///< log of the sum of exp(logit); -inf where all logits are -inf
  std::vector<float> block_max;   ///< [ceil(vocab / kBlock)] no logit of the block is larger
};

/// Throws Error when a logit is NaN or +inf.
Scores normalised(std::span<const float> logits);
/// The same, of a model's row: also throws Error when there is no logit but -inf.
Scores model_scores(std::span<const float> logits);

/// `logits` with -inf at the banned tokens: themselves, or a copy in `storage`.
std::span<const float> without(std::span<const float> logits, const std::vector<int32_t>& banned,
                               std::vector<float>& storage);

struct Candidate {
  double score;  ///< > -inf
  int32_t row, token;
};

/// The `count` best of row sum + log-probability, best first; of equal ones, the earlier row and
/// then the lower token first, as if torch.topk took the first of what is equal. -inf is never
/// among them.
class Best {
 public:
  explicit Best(size_t count) : count_(count) {}
  /// Rows in ascending order. Scores are computed in fp64, and no score exceeds `sum`.
  void scan(int32_t row, double sum, const Scores& scores);
  const std::vector<Candidate>& candidates() const { return kept_; }

 private:
  double threshold() const;
  void insert(const Candidate& candidate);

  size_t count_;
  std::vector<Candidate> kept_;
};

/// A beam that is still being continued.
struct Beam {
  double sum;  ///< of log-probabilities
  History history;
};

/// The parents of `candidates` (rows of `beams`), each continued by its token. Moves out of a beam
/// what its last candidate takes.
std::vector<Beam> continued(std::vector<Beam>& beams, std::span<const Candidate> candidates);

}  // namespace mtlora::decoding
