// The beam search behind the published data-to-text numbers of LoRA (Hu et al. 2021,
// arXiv:2106.09685) and of what was built on its code: examples/NLG/src/gpt2_beam.py of
// microsoft/LoRA, whose choices it makes token for token.
//
//   next  = the best `beams` of sum(beam) + log softmax(logits(beam) without repeated n-grams)
//   a beam whose last token is an end token is a result of score sum / tokens^penalty, and stops
//   after the last step every beam is a result; the best result wins, of equal ones the first
//
// Sums are kept in fp64, where that code has fp32; its log(softmax) underflows to -inf below about
// e^-103, ours does not. A row all of whose tokens are banned ends without a result, where that
// code computes NaN.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "lib/core/error.h"
#include "lib/decoding/decoders.h"
#include "lib/decoding/scores.h"

namespace mtlora::decoding {
namespace {

class ReferenceBeam final : public Search {
 public:
  explicit ReferenceBeam(const Start& start)
      : Search(start.vocab),
        options_(start.options),
        end_(start.end),
        all_steps_(start.all_steps),
        beams_{{0, History(options_.no_repeat_ngram)}},
        divisors_(static_cast<size_t>(options_.max_new_tokens) + 1) {
    if (options_.beams > vocab_)
      fail("/generate/beams: {} beams need as many tokens to begin with; the vocabulary has {}",
           options_.beams, vocab_);
    for (size_t n = 1; n < divisors_.size(); ++n)
      divisors_[n] = std::pow(static_cast<double>(n), options_.length_penalty);
  }

  std::vector<int32_t> result() const override { return best_tokens_; }
  double score() const override { return best_score_; }

 protected:
  void choose(std::span<const float* const> logits) override {
    Best best(static_cast<size_t>(options_.beams));
    for (size_t row = 0; row < beams_.size(); ++row) scan(best, row, logits[row]);
    ++steps_;
    std::vector<Candidate> live;
    for (const Candidate& c : best.candidates())
      if (end_.contains(c.token))
        offer(c.score, beams_[static_cast<size_t>(c.row)].history);
      else
        live.push_back(c);
    beams_ = continued(beams_, live);
    if (is_last_step()) {
      for (const Beam& beam : beams_) offer(beam.sum, beam.history);
      live.clear();
    } else if (!live.empty() && !all_steps_ && decided(live.front().score)) {
      live.clear();
    }
    if (live.empty() && !found_)
      fail(
          "after {} tokens no beam can go on, and none has ended: all others would repeat an "
          "n-gram of no_repeat_ngram = {}",
          steps_ - 1, options_.no_repeat_ngram);
    go_on(live);
  }

 private:
  using Search::go_on;
  void go_on(const std::vector<Candidate>& live) {
    std::vector<int32_t> tokens, parents;
    for (const Candidate& c : live) tokens.push_back(c.token), parents.push_back(c.row);
    go_on(std::move(tokens), std::move(parents));
  }

  bool is_last_step() const { return steps_ + 1 == divisors_.size(); }

  void scan(Best& best, size_t row, const float* logits) {
    const std::span<const float> given(logits, static_cast<size_t>(vocab_));
    const std::vector<int32_t> banned = beams_[row].history.banned();
    const Scores scores =
        banned.empty() ? model_scores(given) : normalised(without(given, banned, storage_));
    best.scan(static_cast<int32_t>(row), beams_[row].sum, scores);
  }

  // A result of steps_ tokens (an end token, which is not in the history, among them).
  void offer(double sum, const History& history) {
    const double score = sum / divisors_[steps_];
    if (found_ && !(score > best_score_)) return;
    found_ = true;
    best_score_ = score;
    best_tokens_ = history.tokens();
  }

  // Whether no live beam can still win, `sum` being the largest of their sums. A log-probability is
  // at most 0, so whatever a beam becomes, its sum s is at most `sum` <= 0, and it is a result of n
  // tokens, steps_ < n <= max_new_tokens, with score s / n^penalty. With d the largest of these
  // n^penalty (the last for a penalty above 0, the first below, 1 at 0):
  //     s / n^penalty <= sum / n^penalty <= sum / d,
  // the second because sum <= 0. Rounding is monotone and the divisors are the very numbers that
  // offer() divides by, so the computed values keep both inequalities. A result wins only when it
  // is strictly better than the best one, so at sum / d <= best score the result is settled. A sum
  // of -inf is never live (Best leaves it out).
  bool decided(double sum) const {
    const auto later = divisors_.begin() + static_cast<std::ptrdiff_t>(steps_) + 1;
    return found_ && sum / *std::max_element(later, divisors_.end()) <= best_score_;
  }

  const DecodingOptions options_;
  const EndTokens end_;
  const bool all_steps_;
  std::vector<Beam> beams_;
  std::vector<double> divisors_;  // n^penalty
  std::vector<float> storage_;
  size_t steps_ = 0;
  bool found_ = false;
  double best_score_ = -std::numeric_limits<double>::infinity();
  std::vector<int32_t> best_tokens_;
};

}  // namespace

std::unique_ptr<Search> reference_beam(const Start& start) {
  return std::make_unique<ReferenceBeam>(start);
}

}  // namespace mtlora::decoding
