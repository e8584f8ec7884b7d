#include <algorithm>
#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "tests/text/small_json.h"

namespace mtlora {
namespace {

using Ids = std::vector<int32_t>;

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("BERT frames a text and a pair with [CLS] and [SEP]", "[text]") {
  const auto bert = load_tokenizer(test::small("bert"));
  const Ids a = test::ids_of(*bert, "text and"), b = test::ids_of(*bert, "file");
  const Ids cls = {bert->special().cls}, sep = {bert->special().sep};
  CHECK(bert->token(cls[0]) == "[CLS]");
  CHECK(bert->token(sep[0]) == "[SEP]");
  const Encoding one = encode(*bert, "text and", 64);
  CHECK(one.ids == cls + a + sep);
  CHECK(one.segments == Ids(a.size() + 2, 0));
  const Encoding two = encode_pair(*bert, "text and", "file", 64);
  CHECK(two.ids == cls + a + sep + b + sep);
  CHECK(two.segments == Ids(a.size() + 2, 0) + Ids(b.size() + 1, 1));
  CHECK(two.dropped_tokens == 0);
}

TEST_CASE("RoBERTa puts two </s> between a pair, in one segment", "[text]") {
  const auto roberta = load_tokenizer(test::small("roberta"));
  const Ids a = test::ids_of(*roberta, "text"), b = test::ids_of(*roberta, "file");
  const Ids cls = {roberta->special().cls}, sep = {roberta->special().sep};
  const Encoding pair = encode_pair(*roberta, "text", "file", 64);
  CHECK(pair.ids == cls + a + sep + sep + b + sep);
  CHECK(pair.segments == Ids(pair.ids.size(), 0));
}

TEST_CASE("GPT-2 puts nothing around its texts", "[text]") {
  const auto gpt2 = load_tokenizer(test::small("gpt2"));
  CHECK(encode(*gpt2, "text", 64).ids == test::ids_of(*gpt2, "text"));
  CHECK(encode_pair(*gpt2, "text", " file", 64).ids ==
        test::ids_of(*gpt2, "text") + test::ids_of(*gpt2, " file"));
}

// The lengths are those of tokenizers' own unit test of longest_first, and of its odd cases.
TEST_CASE("a pair gives way longest first, as tokenizers does", "[text]") {
  struct Case {
    size_t first, second, room, kept_first, kept_second;
  };
  const Case cases[] = {{0, 0, 7, 0, 0}, {0, 2, 7, 0, 2}, {0, 4, 7, 0, 4}, {0, 8, 7, 0, 7},
                        {2, 0, 7, 2, 0}, {2, 2, 7, 2, 2}, {2, 4, 7, 2, 4}, {2, 8, 7, 2, 5},
                        {4, 0, 7, 4, 0}, {4, 2, 7, 4, 2}, {4, 4, 7, 3, 4}, {4, 8, 7, 3, 4},
                        {8, 0, 7, 7, 0}, {8, 2, 7, 5, 2}, {8, 4, 7, 4, 3}, {8, 8, 7, 3, 4},
                        {0, 2, 0, 0, 0}, {4, 4, 0, 0, 0}, {4, 4, 1, 0, 1}, {5, 4, 1, 1, 0},
                        {9, 8, 6, 3, 3}, {1, 9, 2, 1, 1}};
  const auto bert = load_tokenizer(test::small("bert"));
  for (const Case& one : cases) {
    const auto text = [](size_t words) {
      std::string all;
      for (size_t i = 0; i < words; ++i) all += "! ";
      return all;
    };
    const Encoding pair = encode_pair(*bert, text(one.first), text(one.second), one.room + 3);
    INFO(one.first << " and " << one.second << " tokens in " << one.room);
    const auto seconds = std::count(pair.segments.begin(), pair.segments.end(), 1);
    CHECK(pair.ids.size() == one.kept_first + one.kept_second + 3);
    CHECK(seconds == static_cast<std::ptrdiff_t>(one.kept_second + 1));
    CHECK(pair.dropped_tokens == one.first + one.second - one.kept_first - one.kept_second);
  }
}

TEST_CASE("a text loses its last tokens, its special tokens stay", "[text]") {
  const auto bert = load_tokenizer(test::small("bert"));
  const Ids all = test::ids_of(*bert, "! ? . , ; :");
  REQUIRE(all.size() == 6);
  const Encoding cut = encode(*bert, "! ? . , ; :", 5);
  CHECK(cut.ids ==
        Ids{bert->special().cls} + Ids(all.begin(), all.begin() + 3) + Ids{bert->special().sep});
  CHECK(cut.dropped_tokens == 3);
  CHECK(encode(*bert, "!", 2).ids == Ids{bert->special().cls, bert->special().sep});
  CHECK_THROWS_WITH(encode(*bert, "!", 1), Catch::Contains("special tokens alone are 2") &&
                                               Catch::Contains("train.max_length"));
  CHECK_THROWS_WITH(encode_pair(*bert, "!", "!", 2), Catch::Contains("special tokens alone are 3"));
}

TEST_CASE("\"truncation_side\": \"left\" takes a text's first tokens", "[text]") {
  const auto bert = test::with_config(test::small("bert"), R"({"truncation_side": "left"})");
  const Ids all = test::ids_of(*bert, "! ? . , ; :");
  const Ids cls = {bert->special().cls}, sep = {bert->special().sep};
  const Encoding cut = encode(*bert, "! ? . , ; :", 5);
  CHECK(cut.ids == cls + Ids(all.begin() + 3, all.end()) + sep);
  CHECK(cut.dropped_tokens == 3);
  CHECK(encode_pair(*bert, "! ? . , ; :", "! ?", 8).ids ==
        cls + Ids(all.begin() + 3, all.end()) + sep + Ids(all.begin(), all.begin() + 2) + sep);
  Json json = test::small_json("bert");
  json["truncation"]["direction"] = "Left";
  CHECK(encode(*test::load_json(json), "! ? . , ; :", 5).ids == cut.ids);
}

TEST_CASE("byte-level decoding gives the very bytes back", "[text]") {
  std::string every_code_point_length =
      "a\tb\r\n \xc2\xa0\xe2\x82\xac\xf0\x9f\x98\x80 e\xcc\x81  x";
  every_code_point_length += '\0';
  for (const char* name : {"gpt2", "roberta"}) {
    const auto tokenizer = load_tokenizer(test::small(name));
    CHECK(tokenizer->decode(test::ids_of(*tokenizer, every_code_point_length)) ==
          every_code_point_length);
  }
}

TEST_CASE("WordPiece decoding glues pieces and spells special tokens", "[text]") {
  const auto bert = load_tokenizer(test::small("bert"));
  CHECK(bert->decode(encode(*bert, "Tokenizers  of text!", 64).ids) ==
        "[CLS] tokenizers of text ! [SEP]");
  CHECK_THROWS_AS(bert->decode(Ids{bert->vocab_size()}), Error);
  CHECK_THROWS_AS(bert->decode(Ids{-1}), Error);
  CHECK(bert->is_special(bert->special().mask));
  CHECK_FALSE(bert->is_special(test::ids_of(*bert, "!")[0]));
}

TEST_CASE("a text that is not UTF-8 is refused", "[text]") {
  for (const auto& [name, tokenizer] : test::small_tokenizers()) {
    Ids ids;
    INFO(name);
    CHECK_THROWS_WITH(tokenizer->tokenize("good, \xe9 bad", ids), Catch::Contains("byte 6"));
    CHECK(ids.empty());
  }
}

}  // namespace mtlora
