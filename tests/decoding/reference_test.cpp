// The reference beam search equals a literal transcription of its definition
// (scripts/golden/decoding.py), and ends early only where that changes nothing.
#include <cmath>

#include "lib/core/json.h"
#include "tests/decoding/toy_model.h"
#include "tests/support/paths.h"

using namespace mtlora;
using test::number;
using test::pick;
using test::Tokens;

namespace {

struct Case {
  test::Toy toy;
  DecodingOptions options;
  Tokens prompt;

  std::unique_ptr<Search> start(bool all_steps = false) const {
    return decoding::reference_beam({options, toy.end, toy.vocab, 0, prompt, all_steps});
  }
};

// As settings() of scripts/golden/decoding.py.
Case drawn(uint32_t seed) {
  const int64_t vocab = 20 + number(seed, 1) % 181;
  DecodingOptions options;
  options.beams = pick<int64_t>(seed, 2, {10, 10, 10, 1, 2, 3, 5, 20});
  options.max_new_tokens = pick<int64_t>(seed, 3, {64, 64, 64, 1, 2, 7, 30});
  options.no_repeat_ngram = pick<int64_t>(seed, 4, {4, 4, 2, 3, 0, vocab > 100 ? 1 : 2});
  options.length_penalty = pick<double>(seed, 5, {0.8, 0.8, 0.9, 0.0, 1.0, 2.0, -0.5});
  const auto end = pick<Tokens>(seed, 6, {{0}, {0, 7}, {0, 7, 11}, {}});
  const auto sharpness = pick<double>(seed, 7, {0.25, 0.5, 1.0, 2.0});
  const int end_bonus = -6144 + static_cast<int>(number(seed, 8) % 8192);
  return {{seed, vocab, {end}, sharpness, end_bonus},
          options,
          {static_cast<int32_t>(seed % static_cast<uint32_t>(vocab))}};
}

constexpr size_t kCases = 2400;

}  // namespace

TEST_CASE("the reference beam search equals its definition token for token", "[decoding]") {
  const Json golden =
      read_json(test::source_root() / "tests" / "golden" / "decoding" / "reference.json");
  REQUIRE(golden.at("cases").size() == kCases);
  size_t different = 0;
  for (const Json& expected : golden.at("cases")) {
    const Case c = drawn(expected[0]);
    const auto search = c.start();
    test::run(*search, c.toy, c.prompt);
    const Tokens found = search->result();
    const bool same_tokens = found.size() == expected[1] && test::checksum(found) == expected[2];
    // Up to 64 log-probabilities of 2e-7 each, times 8 where the penalty is -0.5; six decimals.
    const double tolerance = 64 * 2e-7 * (c.options.length_penalty < 0 ? 8 : 1) + 5e-7;
    const bool same =
        same_tokens && std::abs(search->score() - expected[3].get<double>()) <= tolerance;
    if (same) continue;
    ++different;
    INFO("seed " << expected[0] << ": " << found.size() << " tokens, score " << search->score()
                 << ", tokens " << (same_tokens ? "equal" : "different") << "; expected "
                 << expected[1] << ", " << expected[3]);
    CHECK(same);
  }
  CHECK(different == 0);
}

TEST_CASE("the reference beam search ends early where it finds what all steps find", "[decoding]") {
  int early_searches = 0;
  for (uint32_t seed = kCases; seed < kCases + 2000; ++seed) {
    Case c = drawn(seed);
    if (seed % 2) c.toy.end_bonus += 4096;
    const auto early = c.start(), full = c.start(true);
    const int64_t steps = test::run(*early, c.toy, c.prompt);
    early_searches += steps < test::run(*full, c.toy, c.prompt);
    if (early->result() != full->result() || early->score() != full->score())
      FAIL_CHECK("seed " << seed << ": " << early->score() << " against " << full->score());
  }
  CHECK(early_searches > 300);
}
