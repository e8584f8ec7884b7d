// Beam search, greedy decoding and sampling's filters equal Hugging Face transformers'
// (scripts/golden/decoding_hf.py).
#include <algorithm>

#include "lib/core/json.h"
#include "lib/decoding/warp.h"
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
};

// As settings() of scripts/golden/decoding_hf.py.
Case drawn(uint32_t seed) {
  const int64_t vocab = 40 + number(seed, 1) % 161;
  DecodingOptions options;
  options.beams = pick<int64_t>(seed, 2, {10, 2, 3, 5});
  options.max_new_tokens = pick<int64_t>(seed, 3, {24, 24, 12, 1, 2});
  options.no_repeat_ngram = pick<int64_t>(seed, 4, {0, 2, 3, 4, 2});
  options.length_penalty = pick<double>(seed, 5, {1.0, 0.8, 0.0, 2.0, -0.5});
  options.early_stopping = pick<std::string>(seed, 9, {"heuristic", "full", "never"});
  options.temperature = pick<double>(seed, 11, {1.0, 0.7, 1.5, 0.1});
  options.top_k = pick<int64_t>(seed, 12, {0, 1, 5, 50, 1000});
  options.top_p = pick<double>(seed, 13, {1.0, 0.9, 0.5, 0.99, 0.05});
  const auto end = pick<Tokens>(seed, 6, {{0}, {0, 7}, {0, 7, 11}});
  const auto sharpness = pick<double>(seed, 7, {0.25, 0.5, 1.0, 2.0});
  const int end_bonus = -3072 + static_cast<int>(number(seed, 8) % 5120);
  Tokens prompt;
  for (uint32_t i = 0; i < 1 + number(seed, 10) % 9; ++i)
    prompt.push_back(
        static_cast<int32_t>(number(seed, 200 + i) % (i % 2 ? 4 : static_cast<uint32_t>(vocab))));
  return {{seed, vocab, {end}, sharpness, end_bonus}, options, prompt};
}

Json golden(const std::string& part, size_t cases) {
  const Json all =
      read_json(test::source_root() / "tests" / "golden" / "decoding" / "huggingface.json");
  REQUIRE(all.at(part).size() == cases);
  return all.at(part);
}

void check_generated(const std::string& decoder, const Json& expected, const Json& ties) {
  Case c = drawn(expected[0]);
  c.options.decoder = decoder;
  const auto search = start_search(c.options, c.toy.end, c.toy.vocab, 0, c.prompt);
  test::run(*search, c.toy, c.prompt);
  const Tokens found = search->result();
  INFO(decoder << ", seed " << expected[0]);
  CHECK(found.size() == expected[1]);
  if (std::ranges::find(ties, expected[0]) == ties.end())
    CHECK(test::checksum(found) == expected[2]);
  if (decoder == "beam")  // float32's rounding of some 24 terms
    CHECK(search->score() == Approx(expected[3].get<double>()).epsilon(1e-5).margin(1e-5));
}

}  // namespace

TEST_CASE("beam search equals Hugging Face's generate()", "[decoding]") {
  const Json ties = golden("ties", 1);
  for (const Json& expected : golden("beam", 600)) check_generated("beam", expected, ties);
}

TEST_CASE("greedy decoding equals Hugging Face's generate()", "[decoding]") {
  for (const Json& expected : golden("greedy", 60)) check_generated("greedy", expected, {});
}

TEST_CASE("temperature, top-k and top-p keep what Hugging Face's warpers keep", "[decoding]") {
  for (const Json& expected : golden("warp", 300)) {
    const Case c = drawn(expected[0]);
    const auto kept = decoding::warped(c.toy.logits(c.prompt), c.options);
    Tokens ids;
    double sum = 0;
    for (const auto& token : kept) ids.push_back(token.token), sum += token.weight;
    INFO("seed " << expected[0]);
    CHECK(ids.size() == expected[1]);
    CHECK(test::checksum(ids) == expected[2]);
    CHECK(1 / sum == Approx(expected[3].get<double>()).margin(1e-6));  // the best one weighs 1
  }
}
