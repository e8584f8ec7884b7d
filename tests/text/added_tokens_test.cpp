// Tokens that are found in a text before the model sees it, of a tokenizer.json and beside one.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/text/small_json.h"

namespace mtlora {
namespace {

using Ids = std::vector<int32_t>;

}  // namespace

TEST_CASE("added tokens strip the space beside them and match normalized text where they say so",
          "[text]") {
  Json json = test::small_json("roberta");
  for (Json& token : json["added_tokens"]) {
    if (token["content"] == "<mask>") token["lstrip"] = true;
    if (token["content"] == "<pad>") token["rstrip"] = true;
  }
  const auto roberta = test::load_json(json);
  const auto ids = [&](const char* text) { return test::ids_of(*roberta, text); };
  const int32_t mask = roberta->special().mask, pad = roberta->special().pad;
  Ids wanted = ids("a");
  wanted.push_back(mask);
  for (const int32_t id : ids(" b")) wanted.push_back(id);
  CHECK(ids("a \xc2\xa0\n<mask> b") == wanted);
  wanted = ids("a ");
  wanted.push_back(pad);
  wanted.push_back(pad);
  for (const int32_t id : ids("b")) wanted.push_back(id);
  CHECK(ids("a <pad> <pad>\t\n b") == wanted);

  Json bert_json = test::small_json("bert");
  const int32_t next = static_cast<int32_t>(bert_json["model"]["vocab"].size());
  bert_json["added_tokens"].push_back(
      {{"id", next}, {"content", "Caf\xc3\xa9"}, {"normalized", true}});
  bert_json["added_tokens"].push_back(
      {{"id", next + 1}, {"content", "[X]Y"}, {"normalized", false}});
  const auto bert = test::load_json(bert_json);
  CHECK(bert->vocab_size() == next + 2);
  CHECK(test::ids_of(*bert, "CAFE!")[0] == next);
  CHECK(test::ids_of(*bert, "[X]Y[X]Y") == Ids{next + 1, next + 1});
  CHECK(test::ids_of(*bert, "[x]y").size() > 2);
  CHECK(bert->decode(Ids{next + 1, next}) == "[X]Y Caf\xc3\xa9");
}

TEST_CASE("the space beside an added token may hold further ones", "[text]") {
  Json json = test::small_json("gpt2");
  const int32_t next = static_cast<int32_t>(json["model"]["vocab"].size());
  json["added_tokens"].push_back({{"id", next}, {"content", "<r>"}, {"rstrip", true}});
  json["added_tokens"].push_back({{"id", next + 1}, {"content", "\n\n"}});
  const auto gpt2 = test::load_json(json);
  Ids wanted = {next, next + 1};
  for (const int32_t id : test::ids_of(*gpt2, " e")) wanted.push_back(id);
  CHECK(test::ids_of(*gpt2, "<r> \n\n e") == wanted);
  CHECK(test::ids_of(*gpt2, "<r> \n e") == Ids{next, test::ids_of(*gpt2, "e")[0]});
}

// Expectations are what transformers registers beside a tokenizer.json.
TEST_CASE("tokens that stand beside a tokenizer.json are registered", "[text]") {
  const auto with = [](const char* config, const char* map = "{}") {
    const test::TempDir folder;
    write_file_in_place(folder / "tokenizer.json", test::small_json("gpt2").dump());
    write_file_in_place(folder / "tokenizer_config.json", config);
    write_file_in_place(folder / "special_tokens_map.json", map);
    return load_tokenizer(folder.path());
  };
  const auto plain = with("{}");
  const int32_t next = plain->vocab_size();
  const Ids e = test::ids_of(*plain, "e");
  CHECK(test::ids_of(*plain, "token") == Ids{plain->id("token")});
  const auto more = with(R"({"additional_special_tokens": ["oken"]})", R"({"mask_token": "ken"})");
  CHECK(test::ids_of(*more, "tokenken") ==
        Ids{plain->id("t"), plain->id("oken"), plain->id("ken")});
  CHECK(more->is_special(plain->id("oken")));
  const std::string decoder = fmt::format(
      R"({{"added_tokens_decoder": {{"{}": {{"content": "<b>"}}, "{}": {{"content": "<a>"}}, )"
      R"("{}": {{"content": "<|endoftext|>", "rstrip": true, "special": true}}}}}})",
      next + 1, next, plain->special().eos);
  const auto given = with(decoder.c_str());
  CHECK(test::ids_of(*given, "<b>e<a>") == Ids{next + 1, e[0], next});
  CHECK(test::ids_of(*given, "<|endoftext|> e") == Ids{plain->special().eos, e[0]});
  CHECK(with(R"({"pad_token": "<pad>"})")->special().pad == -1);
  using Catch::Contains;
  CHECK_THROWS_WITH(with(R"({"mask_token": "<m>"})"), Contains("mask_token \"<m>\" is not in the"));
  CHECK_THROWS_WITH(with(R"({"additional_special_tokens": ["<m>"]})"), Contains("\"<m>\" is not"));
  CHECK_THROWS_WITH(with(R"({"added_tokens_decoder": {"1": {"content": "<a>"}}})"),
                    Contains("tokenizer.json: ") && Contains("\"<a>\" the id 1, but its place is"));
}

}  // namespace mtlora
