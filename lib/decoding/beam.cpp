// Hugging Face's beam search (transformers 5, GenerationMixin._beam_search), for one prompt:
//
//   candidates = the best (1 + end tokens, at least 2) * beams of sum(beam) + log softmax(logits),
//                repeated n-grams left out afterwards (no renormalisation)
//   of the first `beams` candidates, those that end become results of score sum / tokens^penalty
//   the first `beams` candidates that do not end are the new beams; the best `beams` results stay
//   at the last step every candidate ends
//
// The length counts generated tokens, the end token included. It ends early as early_stopping says.
// Sums are kept in fp64, where that code has fp32. Where fewer candidates are left than it wants,
// that code goes on with beams of -inf; here they are left out.
#include <algorithm>
#include <cmath>
#include <utility>

#include "lib/core/error.h"
#include "lib/decoding/decoders.h"
#include "lib/decoding/scores.h"

namespace mtlora::decoding {
namespace {

struct Result {
  double score;
  std::vector<int32_t> tokens;  // prompt included
};

class HuggingFaceBeam final : public Search {
 public:
  explicit HuggingFaceBeam(const Start& start)
      : Search(start.vocab),
        options_(start.options),
        end_(start.end),
        beam_count_(static_cast<size_t>(options_.beams)),
        prompt_tokens_(start.prompt_ids.size()),
        beams_{{0, History(options_.no_repeat_ngram, start.prompt_ids)}} {
    if (candidates_wanted() > static_cast<size_t>(vocab_))
      fail(
          "/generate/beams: {} beams choose among {} candidates; the vocabulary has only {} tokens",
          options_.beams, candidates_wanted(), vocab_);
  }

  std::vector<int32_t> result() const override {
    const auto& tokens = results_.at(0).tokens;
    return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt_tokens_), tokens.end()};
  }
  double score() const override { return results_.at(0).score; }

 protected:
  void choose(std::span<const float* const> logits) override {
    Best best(candidates_wanted());
    for (size_t row = 0; row < beams_.size(); ++row) scan(best, row, logits[row]);
    ++steps_;
    std::vector<Candidate> live = sift(best.candidates());
    beams_ = continued(beams_, live);
    if (steps_ == options_.max_new_tokens || live.empty() || ends_early(live.front().score))
      live.clear();
    if (live.empty() && results_.empty())
      fail(
          "after {} tokens no beam can go on, and none has ended: all others would repeat an "
          "n-gram of no_repeat_ngram = {}",
          steps_ - 1, options_.no_repeat_ngram);
    std::vector<int32_t> tokens, parents;
    for (const Candidate& c : live) tokens.push_back(c.token), parents.push_back(c.row);
    go_on(std::move(tokens), std::move(parents));
  }

 private:
  size_t candidates_wanted() const {
    return std::max<size_t>(2, 1 + end_.ids.size()) * beam_count_;
  }

  void scan(Best& best, size_t row, const float* logits) {
    Scores scores = model_scores({logits, static_cast<size_t>(vocab_)});
    scores.logits = without(scores.logits, beams_[row].history.banned(), storage_);
    best.scan(static_cast<int32_t>(row), beams_[row].sum, scores);
  }

  // Takes the results among the candidates; gives those that go on.
  std::vector<Candidate> sift(const std::vector<Candidate>& candidates) {
    std::vector<Candidate> live;
    for (size_t i = 0; i < candidates.size(); ++i) {
      const Candidate& c = candidates[i];
      const bool has_ended = end_.contains(c.token);
      if (i < beam_count_ && (has_ended || steps_ == options_.max_new_tokens)) finish(c, has_ended);
      if (!has_ended && live.size() < beam_count_) live.push_back(c);
    }
    return live;
  }

  void finish(const Candidate& c, bool has_ended) {
    Result result{c.score / divisor(steps_), beams_[static_cast<size_t>(c.row)].history.tokens()};
    if (!has_ended) result.tokens.push_back(c.token);
    const auto place =
        std::upper_bound(results_.begin(), results_.end(), result,
                         [](const Result& a, const Result& b) { return a.score > b.score; });
    results_.insert(place, std::move(result));
    if (results_.size() > beam_count_) results_.pop_back();
  }

  bool ends_early(double best_sum) const {
    if (results_.size() < beam_count_) return false;
    if (options_.early_stopping == "full") return true;
    const bool longest = options_.early_stopping == "never" && options_.length_penalty > 0;
    return best_sum / divisor(longest ? options_.max_new_tokens : steps_) <= results_.back().score;
  }

  double divisor(int64_t tokens) const {
    return std::pow(static_cast<double>(tokens), options_.length_penalty);
  }

  const DecodingOptions options_;
  const EndTokens end_;
  const size_t beam_count_, prompt_tokens_;
  std::vector<Beam> beams_;
  std::vector<Result> results_;  // best first, at most `beams`
  std::vector<float> storage_;
  int64_t steps_ = 0;
};

}  // namespace

std::unique_ptr<Search> beam(const Start& start) {
  return std::make_unique<HuggingFaceBeam>(start);
}

}  // namespace mtlora::decoding
