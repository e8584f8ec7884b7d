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

}  // namespace

TEST_CASE("hard texts get Hugging Face's ids with small vocabularies", "[text]") {
  CHECK(check_all(test::small_tokenizers()) == 3 * 54);
}

TEST_CASE("hard texts get Hugging Face's ids with real vocabularies", "[text]") {
  if (!test::available(test::shared("tokenizers"))) return;
  CHECK(check_all(test::shared_tokenizers()) == 4 * 54);
}

}  // namespace mtlora
