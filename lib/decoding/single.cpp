// Decoders of one row: greedy (the most likely token) and sampling, both as Hugging Face's
// generate() without beams. Draws are a function of (seed, prompt, step), so that a prompt's text
// depends neither on its neighbours nor on where a run was interrupted.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/decoding/decoders.h"
#include "lib/decoding/scores.h"
#include "lib/decoding/warp.h"

namespace mtlora::decoding {
namespace {

class Single : public Search {
 public:
  explicit Single(const Start& start)
      : Search(start.vocab),
        options_(start.options),
        end_(start.end),
        prompt_tokens_(start.prompt_ids.size()),
        history_(options_.no_repeat_ngram, start.prompt_ids) {}

  std::vector<int32_t> result() const override {
    const auto& tokens = history_.tokens();
    return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt_tokens_), tokens.end()};
  }
  double score() const override { return sum_; }

 protected:
  void choose(std::span<const float* const> logits) override {
    const std::span<const float> given(logits[0], static_cast<size_t>(vocab_));
    const double log_sum = model_scores(given).log_sum;
    const std::optional<int32_t> token = pick(without(given, history_.banned(), storage_));
    if (!token)
      fail("after {} tokens each next one would repeat an n-gram of no_repeat_ngram = {}", steps_,
           options_.no_repeat_ngram);
    ++steps_;
    const float chosen = given[static_cast<size_t>(*token)];
    sum_ += std::min(0.0, static_cast<double>(chosen) - log_sum);
    if (end_.contains(*token)) return go_on({}, {});
    history_.add(*token);
    if (steps_ == options_.max_new_tokens) return go_on({}, {});
    go_on({*token}, {0});
  }

  /// None where every logit is -inf.
  virtual std::optional<int32_t> pick(std::span<const float> logits) const = 0;

  const DecodingOptions options_;
  int64_t steps_ = 0;

 private:
  const EndTokens end_;
  const size_t prompt_tokens_;
  History history_;
  std::vector<float> storage_;
  double sum_ = 0;
};

class Greedy final : public Single {
  using Single::Single;
  std::optional<int32_t> pick(std::span<const float> logits) const override {
    const auto best = std::ranges::max_element(logits);  // the first of equal ones
    if (*best == -std::numeric_limits<float>::infinity()) return {};
    return static_cast<int32_t>(best - logits.begin());
  }
};

class Sample final : public Single {
 public:
  explicit Sample(const Start& start)
      : Single(start),
        key_(combine(combine(name_key("sample"), static_cast<uint64_t>(options_.seed)),
                     start.prompt_key)) {}

 private:
  std::optional<int32_t> pick(std::span<const float> logits) const override {
    const std::vector<Weighted> tokens = warped(logits, options_);
    if (tokens.empty()) return {};
    return draw(tokens, Random(combine(key_, static_cast<uint64_t>(steps_))).uniform());
  }

  const uint64_t key_;
};

}  // namespace

std::unique_ptr<Search> greedy(const Start& start) {
  return std::make_unique<Greedy>(start);
}
std::unique_ptr<Search> sample(const Start& start) {
  return std::make_unique<Sample>(start);
}

}  // namespace mtlora::decoding
