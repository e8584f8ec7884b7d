#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "tests/text/small_json.h"

namespace mtlora {
namespace {

using Ids = std::vector<int32_t>;
namespace fs = std::filesystem;

const char* const kTexts[] = {"", "Hello, World!  [MASK] it's", "<s> a<mask> b</s>",
                              "Caf\xc3\xa9 \xe4\xb8\xad x\ty", "<|endoftext|>"};

}  // namespace

TEST_CASE("tokenizer.json and plain vocabulary files load as the same tokenizer", "[text]") {
  for (const char* name : {"bert", "roberta", "gpt2"}) {
    const auto plain = load_tokenizer(test::small(name)),
               json = test::load_json(test::small_json(name));
    INFO(name);
    CHECK(json->vocab_size() == plain->vocab_size());
    CHECK(json->special().cls == plain->special().cls);
    CHECK(json->special().pad == plain->special().pad);
    CHECK(json->special().mask == plain->special().mask);
    for (const char* text : kTexts) {
      CHECK(encode(*json, text, 99).ids == encode(*plain, text, 99).ids);
      const Encoding a = encode_pair(*json, text, "b c", 99),
                     b = encode_pair(*plain, text, "b c", 99);
      CHECK(a.ids == b.ids);
      CHECK(a.segments == b.segments);
    }
  }
}

TEST_CASE("GPT-2's tokenizer.json gives the ids of its vocab.json and merges.txt", "[text]") {
  const auto folder = test::shared("tokenizers/gpt2");
  if (!test::available(folder)) return;
  const auto json = load_tokenizer(folder), plain = test::with_config(folder, "{}");
  CHECK(json->files().front().filename() == "tokenizer.json");
  CHECK(plain->files().front().filename() == "vocab.json");
  CHECK(json->vocab_size() == 50257);
  for (const char* text : kTexts) CHECK(test::ids_of(*json, text) == test::ids_of(*plain, text));
}

TEST_CASE("a template of tokenizer.json is followed", "[text]") {
  Json json = test::small_json("bert");
  const Json a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             b = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  const Json sep = {{"SpecialToken", {{"id", "x"}, {"type_id", 1}}}};
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {a, sep}},
                            {"pair", {b, sep, a}},
                            {"special_tokens", {{"x", {{"id", "x"}, {"ids", {3, 4}}}}}}};
  const auto tokenizer = test::load_json(json);
  const int32_t x = test::ids_of(*tokenizer, "!")[0], y = test::ids_of(*tokenizer, "?")[0];
  CHECK(encode(*tokenizer, "!", 9).ids == Ids{x, 3, 4});
  CHECK(encode_pair(*tokenizer, "!", "?", 9).ids == Ids{y, 3, 4, x});
  CHECK(encode_pair(*tokenizer, "!", "?", 9).segments == Ids{1, 1, 1, 0});
}

TEST_CASE("tokenizer_config.json has its say", "[text]") {
  const auto uncased = load_tokenizer(test::small("bert"));
  const auto cased = test::with_config(test::small("bert"), R"({"do_lower_case": false})");
  const auto marked = test::with_config(test::small("bert"), R"({"strip_accents": false})");
  CHECK(test::ids_of(*uncased, "TEXT") == test::ids_of(*cased, "text"));
  CHECK(test::ids_of(*cased, "TEXT") == Ids{cased->special().unk});
  CHECK(test::ids_of(*uncased, "t\xc3\xa9xt") == test::ids_of(*uncased, "text"));
  CHECK(test::ids_of(*marked, "t\xc3\xa9xt") == Ids{marked->special().unk});
  CHECK(cased->files().size() == 2);

  const auto plain = load_tokenizer(test::small("gpt2"));
  const auto spaced = test::with_config(test::small("gpt2"), R"({"add_prefix_space": true})");
  CHECK(test::ids_of(*spaced, "text") == test::ids_of(*plain, " text"));
  CHECK(test::ids_of(*spaced, " text") == test::ids_of(*plain, " text"));
  CHECK(test::ids_of(*spaced, "").empty());

  const auto roberta = test::with_config(
      test::small("roberta"), R"({"mask_token": {"content": "<mask>", "lstrip": true}})");
  CHECK(test::ids_of(*roberta, "  <mask>") == Ids{roberta->special().mask});
}

TEST_CASE("a folder that holds copies of a tokenizer's files loads as the same one", "[text]") {
  for (const char* name : {"bert", "roberta", "gpt2"}) {
    const auto first = load_tokenizer(test::small(name));
    const test::TempDir copies;
    for (const auto& file : first->files()) fs::copy(file, copies / file.filename().string());
    const auto second = load_tokenizer(copies.path());
    for (const char* text : kTexts)
      CHECK(encode(*first, text, 99).ids == encode(*second, text, 99).ids);
  }
}

TEST_CASE("what a tokenizer.json has that is not implemented is named", "[text]") {
  const auto message = [](const char* name, const auto& change) {
    Json json = test::small_json(name);
    change(json);
    try {
      test::load_json(json);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("loaded");
  };
  using Catch::Contains;
  CHECK_THAT(message("bert", [](Json& j) { j["model"]["type"] = "WordLevel"; }),
             Contains("model \"WordLevel\""));
  CHECK_THAT(message("bert", [](Json& j) { j["normalizer"]["type"] = "NFKC"; }),
             Contains("normalizer \"NFKC\""));
  CHECK_THAT(message("gpt2", [](Json& j) { j["pre_tokenizer"]["type"] = "Split"; }),
             Contains("the pre_tokenizer {"));
  CHECK_THAT(message("gpt2", [](Json& j) { j["post_processor"]["type"] = "Nonsense"; }),
             Contains("post_processor \"Nonsense\""));
  CHECK_THAT(message("gpt2", [](Json& j) { j["model"]["fuse_unk"] = true; }),
             Contains("\"fuse_unk\": true"));
  CHECK_THAT(message("gpt2", [](Json& j) { j["model"]["dropout"] = 0.1; }),
             Contains("\"dropout\": 0.1"));
  CHECK_THAT(message("gpt2", [](Json& j) { j["model"]["merges"][0] = "a"; }),
             Contains("the merge \"a\""));
  CHECK_THAT(message("gpt2", [](Json& j) { j["model"]["merges"][0] = "a zz"; }),
             Contains("needs the token \"zz\""));
  CHECK_THAT(message("bert", [](Json& j) { j["added_tokens"][0]["single_word"] = true; }),
             Contains("single_word"));
  CHECK_THAT(message("bert", [](Json& j) { j["model"]["vocab"]["[PAD]"] = 1; }),
             Contains("gives the id 1 to"));
  CHECK_THAT(message("bert", [](Json& j) { j["model"]["vocab"]["[PAD]"] = "x"; }),
             Contains("tokenizer.json: "));
  CHECK_THAT(message("bert", [](Json& j) { j["model"].erase("vocab"); }), Contains("vocab"));
  CHECK_THAT(message("bert", [](Json& j) { j["model"]["unk_token"] = "?!"; }),
             Contains("no token \"?!\""));
  CHECK(message("bert", [](Json&) {}) == "loaded");
}

TEST_CASE("folders without a tokenizer are explained", "[text]") {
  const test::TempDir folder;
  using Catch::Contains;
  CHECK_THROWS_WITH(load_tokenizer(folder / "absent"), Contains("there is no such model folder"));
  CHECK_THROWS_WITH(load_tokenizer(folder.path()),
                    Contains("tokenizer.json") && Contains("vocab.txt") && Contains("merges.txt"));
  write_file_in_place(folder / "vocab.json", "{\"a\": 0}");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Contains("merges.txt is missing"));
  write_file_in_place(folder / "merges.txt", "#version: 0.2\na b c\n");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Contains("merges.txt:2:"));
  write_file_in_place(folder / "vocab.json", "{\"a\": 0,\n\"b\" 1}");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Contains("vocab.json:2:"));
  write_file_in_place(folder / "vocab.txt", "a\nb\n");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Contains("[CLS]"));
  write_file_in_place(folder / "tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer"})");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Contains("T5Tokenizer"));
  write_file_in_place(folder / "tokenizer_config.json", R"({"do_lower_case": "yes"})");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Contains("tokenizer_config.json: "));
  write_file_in_place(folder / "tokenizer_config.json", R"({"truncation_side": "top"})");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()), Contains("\"truncation_side\": \"top\""));
  write_file_in_place(folder / "tokenizer_config.json", R"({"model_max_length": 1e999})");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()),
                    Contains("tokenizer_config.json: not valid JSON") && Contains("1e999"));
}

}  // namespace mtlora
