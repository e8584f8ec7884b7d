// The parts of decoding against plain ways to compute the same.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <limits>
#include <set>

#include "lib/core/random.h"
#include "lib/decoding/history.h"
#include "lib/decoding/scores.h"
#include "lib/decoding/sum_exp.h"
#include "tests/decoding/toy_model.h"

using namespace mtlora;
using namespace mtlora::decoding;
using test::Tokens;

namespace {

std::vector<float> normal_logits(size_t count, uint64_t key, double scale) {
  Random random(key);
  std::vector<float> logits(count);
  for (float& x : logits) x = static_cast<float>(scale * random.normal());
  return logits;
}

double plain_log_sum(const std::vector<float>& logits) {
  const double max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - max);
  return max + std::log(sum);
}

// fairseq's rule by looking at every n-gram.
std::set<int32_t> scanned(const Tokens& tokens, size_t n) {
  std::set<int32_t> found;
  for (size_t i = 0; n > 0 && i + n <= tokens.size(); ++i)
    if (std::equal(tokens.begin() + static_cast<std::ptrdiff_t>(i),
                   tokens.begin() + static_cast<std::ptrdiff_t>(i + n - 1),
                   tokens.end() - static_cast<std::ptrdiff_t>(n - 1)))
      found.insert(tokens[i + n - 1]);
  return found;
}

}  // namespace

TEST_CASE("the vector exponential is exact to a relative 1.5e-7", "[decoding]") {
  double worst = 0;
  for (int i = 0; i <= 870000; ++i) {
    const float x = -static_cast<float>(i) * 1e-4f;
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(exp_not_positive(x)) - exact) / exact);
  }
  CHECK(worst < 1.5e-7);
  CHECK(exp_not_positive(0) == 1);
  CHECK(exp_not_positive(-std::numeric_limits<float>::infinity()) < 2e-38f);
  CHECK(std::isnan(exp_not_positive(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("the log of the sum of exponentials is exact to 2e-7", "[decoding]") {
  for (const size_t count : {1, 2, 255, 256, 257, 1000, 49152, 50257})
    for (const double scale : {0.0, 0.1, 1.0, 4.0, 30.0}) {
      std::vector<float> logits = normal_logits(count, count, scale);
      const Scores scores = normalised(logits);
      CHECK(std::abs(scores.log_sum - plain_log_sum(logits)) < 2e-7);
      for (size_t b = 0; b < scores.block_max.size(); ++b) {
        const auto block = std::span(logits).subspan(b * kBlock);
        const auto size = std::min<size_t>(kBlock, block.size());
        CHECK(scores.block_max[b] == *std::ranges::max_element(block.first(size)));
      }
      // What lies far below, or at -inf, in whole blocks at either end, changes nothing.
      std::vector<float> more(3 * kBlock, -std::numeric_limits<float>::infinity());
      more.insert(more.end(), logits.begin(), logits.end());
      more.insert(more.end(), 2 * kBlock + 5, -1e30f);
      CHECK(std::abs(normalised(more).log_sum - plain_log_sum(logits)) < 2e-7);
    }
}

TEST_CASE("the best continuations are those of a stable sort", "[decoding]") {
  for (uint64_t key = 0; key < 200; ++key) {
    const size_t vocab = 20 + key * 7, rows = 1 + key % 5, count = 1 + key % 19;
    std::vector<std::vector<float>> logits;
    std::vector<Candidate> all;
    Best best(count);
    for (size_t row = 0; row < rows; ++row) {
      logits.push_back(normal_logits(vocab, combine(key, row % 3), 2));  // equal rows are ties
      for (float& x : logits.back()) x = std::round(x * 8) / 8;
      const Scores scores = normalised(logits.back());
      const double sum = -static_cast<double>(row % 2);
      best.scan(static_cast<int32_t>(row), sum, scores);
      for (size_t t = 0; t < vocab; ++t)
        all.push_back({sum + std::min(0.0, static_cast<double>(logits.back()[t]) - scores.log_sum),
                       static_cast<int32_t>(row), static_cast<int32_t>(t)});
    }
    std::ranges::stable_sort(all, std::greater<>(), &Candidate::score);
    REQUIRE(best.candidates().size() == count);
    for (size_t i = 0; i < count; ++i) {
      CHECK(best.candidates()[i].row == all[i].row);
      CHECK(best.candidates()[i].token == all[i].token);
      CHECK(best.candidates()[i].score == all[i].score);
    }
  }
}

TEST_CASE("banned tokens are those that would repeat an n-gram", "[decoding]") {
  for (uint64_t key = 0; key < 60; ++key) {
    Random random(key);
    const size_t n = key % 6;
    const uint64_t vocab = 2 + key % 4;
    Tokens tokens;
    for (size_t i = 0; i < key; ++i) tokens.push_back(static_cast<int32_t>(random.below(vocab)));
    History history(static_cast<int64_t>(n), tokens);
    for (int i = 0; i < 100; ++i) {
      const Tokens banned = history.banned();
      const bool same = std::set(banned.begin(), banned.end()) == scanned(tokens, n);
      REQUIRE(same);
      tokens.push_back(static_cast<int32_t>(random.below(vocab)));
      const History copy = history;  // a beam that branches
      history.add(tokens.back());
      REQUIRE(copy.tokens().size() + 1 == history.tokens().size());
    }
  }
}

// Hidden: run it by its tag. Asserts no time.
TEST_CASE("the time of a step is printed", "[.benchmark]") {
  constexpr int64_t kVocab = 49152;
  for (const std::string decoder : {"reference", "beam", "greedy", "sample"}) {
    DecodingOptions options;
    options.decoder = decoder;
    options.max_new_tokens = 300;
    options.top_p = 0.95;
    std::vector<std::vector<float>> logits;
    for (uint64_t i = 0; i < 10; ++i)
      logits.push_back(normal_logits(static_cast<size_t>(kVocab), i, 3));
    double seconds = 0;
    int steps = 0;
    for (uint64_t prompt = 0; prompt < 2; ++prompt) {
      const auto search = start_search(options, {}, kVocab, prompt, Tokens(100, 5));
      for (; !search->done(); ++steps) {
        std::vector<const float*> rows;
        for (int64_t i = 0; i < search->rows(); ++i)
          rows.push_back(logits[static_cast<size_t>(i + steps) % 10].data());
        const auto begin = std::chrono::steady_clock::now();
        search->step(rows);
        seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      }
      CHECK(!search->result().empty());
    }
    std::cerr << decoder << ": " << 1e3 * seconds / steps << " ms a step of " << kVocab
              << " tokens\n";
  }
}
