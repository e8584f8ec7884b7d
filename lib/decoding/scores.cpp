#include "lib/decoding/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "lib/core/error.h"
#include "lib/decoding/sum_exp.h"

namespace mtlora::decoding {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

// Rounding is monotone, so this is too: larger logits never get smaller scores. The minimum keeps
// a log-probability from exceeding 0 by a rounding of log_sum.
double score_of(double sum, float logit, double log_sum) {
  return sum + std::min(0.0, static_cast<double>(logit) - log_sum);
}

[[noreturn]] void fail_at_bad_logit(std::span<const float> logits) {
  const auto bad = std::ranges::find_if(
      logits, [](float x) { return std::isnan(x) || x == std::numeric_limits<float>::infinity(); });
  fail("the model's logit of token {} is {}: its weights or its input are broken",
       bad - logits.begin(), *bad);
}

}  // namespace

Scores normalised(std::span<const float> logits) {
  Scores scores{logits, kNone, std::vector<float>((logits.size() + kBlock - 1) / kBlock)};
  const SumExp all = sum_exp(logits, scores.block_max);
  if (std::isnan(all.sum)) fail_at_bad_logit(logits);
  if (static_cast<double>(all.max) > kNone)
    scores.log_sum = static_cast<double>(all.max) + std::log(all.sum);
  return scores;
}

Scores model_scores(std::span<const float> logits) {
  Scores scores = normalised(logits);
  if (scores.log_sum == kNone)
    fail("all {} of the model's logits are -inf: no token can be chosen", logits.size());
  return scores;
}

std::span<const float> without(std::span<const float> logits, const std::vector<int32_t>& banned,
                               std::vector<float>& storage) {
  if (banned.empty()) return logits;
  storage.assign(logits.begin(), logits.end());
  for (const int32_t token : banned)
    // A prompt's padded vocabulary may be larger than the logits.
    if (static_cast<size_t>(token) < storage.size())
      storage[static_cast<size_t>(token)] = -std::numeric_limits<float>::infinity();
  return storage;
}

double Best::threshold() const {
  return kept_.size() < count_ ? kNone : kept_.back().score;
}

void Best::insert(const Candidate& candidate) {
  if (kept_.size() == count_) kept_.pop_back();
  const auto place =
      std::upper_bound(kept_.begin(), kept_.end(), candidate,
                       [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  kept_.insert(place, candidate);
}

void Best::scan(int32_t row, double sum, const Scores& scores) {
  if (scores.log_sum == kNone) return;
  const auto better = [&](float logit) {
    return score_of(sum, logit, scores.log_sum) > threshold();
  };
  for (size_t block = 0; block < scores.block_max.size(); ++block) {
    if (!better(scores.block_max[block])) continue;
    const size_t begin = block * kBlock;
    const size_t end = std::min(begin + kBlock, scores.logits.size());
    for (size_t token = begin; token < end; ++token)
      if (better(scores.logits[token]))
        insert({score_of(sum, scores.logits[token], scores.log_sum), row,
                static_cast<int32_t>(token)});
  }
}

std::vector<Beam> continued(std::vector<Beam>& beams, std::span<const Candidate> candidates) {
  std::vector<size_t> left(beams.size());
  for (const Candidate& c : candidates) ++left[static_cast<size_t>(c.row)];
  std::vector<Beam> next;
  next.reserve(candidates.size());
  for (const Candidate& c : candidates) {
    const auto row = static_cast<size_t>(c.row);
    if (--left[row] == 0)
      next.push_back({c.score, std::move(beams[row].history)});
    else
      next.push_back({c.score, beams[row].history});
    next.back().history.add(c.token);
  }
  return next;
}

}  // namespace mtlora::decoding
