// What holds for every decoder, and what is refused.
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "lib/core/error.h"
#include "lib/decoding/warp.h"
#include "tests/decoding/toy_model.h"

using namespace mtlora;
using Catch::Matchers::Contains;
using test::Tokens;

namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
const std::vector<std::string> kDecoders = {"reference", "beam", "greedy", "sample"};

DecodingOptions options_of(const std::string& decoder) {
  DecodingOptions options;
  options.decoder = decoder;
  options.max_new_tokens = 20;
  return options;
}

test::Toy toy(uint32_t seed) {
  return {seed, 100, {{0, 7}}, 1, 1024};
}

std::unique_ptr<Search> start(const DecodingOptions& options, const test::Toy& model,
                              uint64_t prompt_key, const Tokens& prompt) {
  return start_search(options, model.end, model.vocab, prompt_key, prompt);
}

void step(Search& search, const std::vector<float>& logits) {
  const std::vector<const float*> rows(static_cast<size_t>(search.rows()), logits.data());
  search.step(rows);
}

// One step on `logits`, 50 tokens of which the last is the end.
std::unique_ptr<Search> stepped(const DecodingOptions& options, const std::vector<float>& logits) {
  auto search = start_search(options, {{49}}, 50, 0, {});
  step(*search, logits);
  return search;
}

std::vector<float> falling() {  // token 0 is the best, 1 the next, …
  std::vector<float> logits(50);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = -static_cast<float>(i);
  return logits;
}

}  // namespace

TEST_CASE("a prompt's result does not depend on what is decoded beside it", "[decoding]") {
  for (const std::string& decoder : kDecoders) {
    const DecodingOptions options = options_of(decoder);
    std::vector<test::Toy> models;
    for (uint32_t i = 0; i < 8; ++i) models.push_back(toy(i));
    std::vector<std::unique_ptr<Search>> together;
    std::vector<test::Rows> rows;
    for (uint32_t i = 0; i < 8; ++i) {
      together.push_back(start(options, models[i], i, {5}));
      rows.emplace_back(models[i], Tokens{5});
    }
    for (bool any = true; any;) {
      any = false;
      for (size_t i = together.size(); i-- > 0;)
        if (!together[i]->done()) rows[i].step(*together[i]), any = true;
    }
    for (uint32_t i = 0; i < 8; ++i) {
      const auto alone = start(options, models[i], i, {5});
      test::run(*alone, models[i], {5});
      CHECK(alone->result() == together[i]->result());
      CHECK(alone->score() == together[i]->score());
    }
  }
}

TEST_CASE("an end token that comes first gives an empty text", "[decoding]") {
  std::vector<float> logits = falling();
  logits[49] = 60;
  for (const std::string& decoder : kDecoders) {
    const auto search = stepped(options_of(decoder), logits);
    while (!search->done()) step(*search, falling());
    CHECK(search->result().empty());
    CHECK(search->score() == Approx(0).margin(1e-20));
  }
}

TEST_CASE("one new token is one step", "[decoding]") {
  for (const std::string& decoder : kDecoders) {
    DecodingOptions options = options_of(decoder);
    options.max_new_tokens = 1;
    options.top_k = 1;
    const auto search = stepped(options, falling());
    CHECK(search->done());
    CHECK(search->result() == Tokens{0});
    CHECK(search->score() == Approx(-std::log(1 / (1 - std::exp(-1)))));
  }
}

TEST_CASE("of equal scores the lower token comes first", "[decoding]") {
  for (const std::string decoder : {"reference", "beam"}) {
    DecodingOptions options = options_of(decoder);
    options.beams = 3;
    const auto search = stepped(options, std::vector<float>(50, 1.5f));
    CHECK(search->next_tokens() == Tokens{0, 1, 2});
    CHECK(search->parents() == Tokens{0, 0, 0});
  }
  CHECK(stepped(options_of("greedy"), std::vector<float>(50, 1.5f))->next_tokens() == Tokens{0});
}

TEST_CASE("broken logits are an error that says which", "[decoding]") {
  for (const std::string& decoder : kDecoders) {
    std::vector<float> logits = falling();
    logits[17] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH(stepped(options_of(decoder), logits), Contains("token 17 is nan"));
    logits[17] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_WITH(stepped(options_of(decoder), logits), Contains("token 17 is inf"));
    CHECK_THROWS_WITH(stepped(options_of(decoder), std::vector<float>(50, kNone)),
                      Contains("all 50") && Contains("-inf"));
  }
}

TEST_CASE("logits of -inf are never chosen", "[decoding]") {
  std::vector<float> logits(50, kNone);
  logits[3] = logits[30] = 1;
  for (const std::string& decoder : kDecoders) {
    const auto search = stepped(options_of(decoder), logits);
    for (const int32_t token : search->next_tokens()) CHECK((token == 3 || token == 30));
    CHECK(search->rows() >= 1);
  }
}

TEST_CASE("where every token is banned the search says so", "[decoding]") {
  std::vector<float> logits(50, kNone);
  logits[3] = 1;  // comes first, and then may not come again
  for (const std::string& decoder : kDecoders) {
    DecodingOptions options = options_of(decoder);
    options.no_repeat_ngram = 1;
    const auto search = stepped(options, logits);
    CHECK_THROWS_WITH(step(*search, logits), Contains("no_repeat_ngram = 1"));
  }
}

TEST_CASE("options that do not fit the vocabulary are refused", "[decoding]") {
  const auto starting = [](const std::string& decoder, int64_t beams, const Tokens& end) {
    DecodingOptions options = options_of(decoder);
    options.beams = beams;
    start_search(options, {end}, 29, 0, {});
  };
  CHECK_THROWS_WITH(starting("reference", 30, {0}),
                    Contains("/generate/beams: 30 beams") && Contains("29"));
  CHECK_THROWS_WITH(starting("beam", 15, {0}),
                    Contains("/generate/beams: 15 beams") && Contains("30 candidates"));
  CHECK_THROWS_WITH(starting("beam", 10, {0, 1}), Contains("30 candidates"));
  CHECK_THROWS_WITH(starting("beam", int64_t{1} << 62, {0}), Contains("vocabulary has only 29"));
  CHECK_NOTHROW(starting("reference", 29, {0}));
  CHECK_NOTHROW(starting("beam", 14, {}));
  CHECK_THROWS_WITH(starting("greedy", 1, {29}), Contains("end token 29"));
  CHECK_THROWS_WITH(starting("greedy", 1, {-1}), Contains("end token -1"));
  CHECK_THROWS_WITH(starting("beem", 1, {0}), Contains("did you mean \"beam\""));
}

TEST_CASE("options are checked and keep the published defaults", "[decoding]") {
  const auto options = parse<DecodingOptions>(Json::object());
  CHECK(options.decoder == "reference");
  CHECK(options.beams == 10);
  CHECK(options.max_new_tokens == 64);
  CHECK(options.no_repeat_ngram == 4);
  CHECK(options.length_penalty == 0.8);
  for (const char* wrong :
       {R"({"beams": 0})", R"({"beams": 4611686018427387904})", R"({"max_new_tokens": 0})",
        R"({"top_p": 1.5})", R"({"temperature": 0})", R"({"early_stopping": "yes"})",
        R"({"no_repeat_ngram": -1})", R"({"decoder": "best"})"})
    CHECK_THROWS_AS(parse<DecodingOptions>(Json::parse(wrong)), Error);
}

TEST_CASE("sampling draws each token as often as its probability says", "[decoding]") {
  DecodingOptions options = options_of("sample");
  options.max_new_tokens = 1;
  const std::vector<float> logits = {0, 1, 2, 3, kNone, 2.5f, -1, 0.5f};
  for (const auto& [top_k, top_p, temperature] :
       std::vector<std::tuple<int64_t, double, double>>{{0, 1, 1}, {4, 1, 0.7}, {0, 0.8, 1.3}}) {
    options.top_k = top_k, options.top_p = top_p, options.temperature = temperature;
    std::map<int32_t, double> drawn;
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i) {
      const auto search = start_search(options, {}, 8, static_cast<uint64_t>(i), {});
      step(*search, logits);
      drawn[search->result().at(0)] += 1;
    }
    double sum = 0, chi = 0;
    const auto expected = decoding::warped(logits, options);
    for (const auto& token : expected) sum += token.weight;
    for (const auto& token : expected) {
      const double count = kDraws * token.weight / sum;
      chi += std::pow(drawn[token.token] - count, 2) / count;
    }
    CHECK(drawn.size() == expected.size());
    CHECK(chi < 24.3);  // 6 degrees of freedom or fewer: one in 2000
  }
}

TEST_CASE("a draw is a function of seed, prompt and step", "[decoding]") {
  const test::Toy model = toy(1);
  const auto text = [&](int64_t seed, uint64_t prompt_key) {
    DecodingOptions options = options_of("sample");
    options.seed = seed;
    options.temperature = 2;
    const auto search = start(options, model, prompt_key, {5});
    test::run(*search, model, {5});
    return search->result();
  };
  CHECK(text(1, 1) == text(1, 1));
  CHECK(text(1, 1) != text(2, 1));
  CHECK(text(1, 1) != text(1, 2));
  CHECK(text(1, 2) != text(2, 1));
}
