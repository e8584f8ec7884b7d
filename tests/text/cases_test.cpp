// The hard texts of tests/cases/tokenizers/texts.json against the ids that Hugging Face gives them.
#include <catch2/catch.hpp>

#include "lib/core/json.h"
#include "tests/text/hashing.h"
#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

std::string repeated(const Json& text) {
  std::string all;
  for (int i = text.value("repeat", 1); i > 0; --i) all += text["text"].get<std::string>();
  return all;
}

// Checks every case with the given tokenizers; returns how many comparisons that were.
int check_all(const test::Tokenizers& tokenizers) {
  const auto folder = test::source_root() / "tests/cases/tokenizers";
  const Json texts = read_json(folder / "texts.json"),
             expected = read_json(folder / "expected.json")["ids"];
  REQUIRE(texts.size() == expected.size());
  int compared = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const auto& [name, tokenizer] : tokenizers) {
      const auto ids = test::ids_of(*tokenizer, repeated(texts[i]));
      INFO(name << ": " << texts[i]["why"]);
      const Json& wanted = expected[i].at(name);
      ++compared;
      if (wanted.is_array()) {
        CHECK(ids == wanted.get<std::vector<int32_t>>());
        continue;
      }
      CHECK(ids.size() == wanted["count"].get<size_t>());
      test::Crc32 crc;
      crc.add(ids);
      CHECK(crc.hex() == wanted["crc"].get<std::string>());
    }
  }
  return compared;
}

// As `random_texts` of scripts/golden/token_ids.py.
std::vector<std::string> random_texts(const Json& golden) {
  const auto alphabet = golden["alphabet"].get<std::vector<std::string>>();
  uint64_t state = 1;
  const auto draw = [&](size_t count) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33) % count;
  };
  std::vector<std::string> texts(golden["texts"].get<size_t>());
  for (std::string& text : texts)
    for (size_t left = draw(golden["longest"].get<size_t>()); left > 0; --left)
      text += alphabet[draw(alphabet.size())];
  return texts;
}

void check_random(const test::Tokenizers& tokenizers, size_t wanted) {
  const Json golden = read_json(test::source_root() / "tests/golden/tokenizers/random.json");
  const auto texts = random_texts(golden);
  size_t compared = 0;
  for (const auto& [name, tokenizer] : tokenizers) {
    if (!golden.contains(name)) continue;
    test::Crc32 crc;
    for (const std::string& text : texts) {
      auto ids = test::ids_of(*tokenizer, text);
      ids.push_back(-1);
      crc.add(ids);
    }
    CHECK((name + " " + crc.hex()) == (name + " " + golden[name].get<std::string>()));
    ++compared;
  }
  CHECK(compared == wanted);
}

}  // namespace

TEST_CASE("random texts get Hugging Face's ids from models of SentencePiece's kind", "[text]") {
  check_random(test::small_tokenizers(), 5);
  if (test::available(test::shared("tokenizers"))) check_random(test::shared_tokenizers(), 4);
}

TEST_CASE("hard texts get Hugging Face's ids with small vocabularies", "[text]") {
  CHECK(check_all(test::small_tokenizers()) == 8 * 54);
}

TEST_CASE("hard texts get Hugging Face's ids with real vocabularies", "[text]") {
  if (!test::available(test::shared("tokenizers"))) return;
  CHECK(check_all(test::shared_tokenizers()) == 8 * 54);
}

}  // namespace mtlora
