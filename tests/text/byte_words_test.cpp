// Words by Llama 3's pattern, and a tokenizer.json laid out as Llama 3's, against Hugging Face's
// `tokenizers` (scripts/golden/llama3_words.py).
#include "lib/text/byte_words.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "lib/core/json.h"
#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

using Catch::Contains;
using Ids = std::vector<int32_t>;

Json cases(const char* file) {
  return read_json(test::source_root() / "tests/cases/tokenizers" / file);
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> all;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = llama3_word_end(text, begin);
    all.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return all;
}

Json layout() {
  return read_json(test::small("llama3") / "tokenizer.json");
}

std::unique_ptr<Tokenizer> load(const Json& json) {
  const test::TempDir folder;
  write_file(folder / "tokenizer.json", json.dump());
  return load_tokenizer(folder.path());
}

}  // namespace

TEST_CASE("Llama 3's pattern cuts texts as tokenizers does", "[text]") {
  const Json all = cases("llama3_words.json");
  REQUIRE(all.size() == 1500);
  for (const Json& each : all) {
    CAPTURE(each["text"].dump());
    CHECK(words(each["text"].get<std::string>()) == each["words"].get<std::vector<std::string>>());
  }
}

TEST_CASE("a tokenizer.json of Llama 3's kind gives its ids and its frame", "[text]") {
  const auto tokenizer = load_tokenizer(test::small("llama3"));
  const Json all = cases("llama3.json");
  REQUIRE(all.size() == 7);
  for (const Json& each : all) {
    const auto text = each["text"].get<std::string>();
    CAPTURE(text);
    CHECK(encode(*tokenizer, text, 512).ids == each["ids"].get<Ids>());
    CHECK(tokenizer->decode(test::ids_of(*tokenizer, text)) == text);
  }
}

TEST_CASE("a word that is a token is merged all the same where merges are not ignored", "[text]") {
  Json json = layout();
  const Ids whole = test::ids_of(*load(json), "hello");
  CHECK(whole.size() == 1);
  json["model"]["ignore_merges"] = false;
  CHECK(test::ids_of(*load(json), "hello").size() > 1);
}

TEST_CASE("what is not quite Llama 3's layout is refused", "[text]") {
  const auto refused = [](const char* path, const Json& value, const char* what) {
    Json json = layout();
    json[Json::json_pointer(path)] = value;
    CHECK_THROWS_WITH(load(json), Contains(what));
  };
  const std::string steps = "/pre_tokenizer/pretokenizers";
  refused((steps + "/0/pattern/Regex").c_str(), "\\s+", "the pre_tokenizer {");
  refused((steps + "/0/behavior").c_str(), "Removed", "the pre_tokenizer {");
  refused((steps + "/0/invert").c_str(), true, "the pre_tokenizer {");
  refused((steps + "/1/use_regex").c_str(), true, "the pre_tokenizer {");
  refused((steps + "/1/add_prefix_space").c_str(), true, "the pre_tokenizer {");
  refused("/post_processor/processors/0", layout()["post_processor"]["processors"][1],
          "several templates");
}

}  // namespace mtlora
