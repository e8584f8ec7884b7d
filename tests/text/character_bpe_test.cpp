// tokenizer.json of a Llama, built in code; expectations worked out by hand from merge_word of
// tokenizers' models/bpe/model.rs.
#include <catch2/catch.hpp>

#include "lib/core/json.h"
#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

using Catch::Contains;
using Ids = std::vector<int32_t>;

Json llama_json() {
  const Json prepend = {{"type", "Prepend"}, {"prepend", "\u2581"}};
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  return {{"added_tokens", {{{"id", 1}, {"content", "<s>"}, {"special", true}}}},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", {prepend, replace}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", nullptr},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab",
             {{"<unk>", 0},
              {"<s>", 1},
              {"<0xC3>", 2},
              {"<0xA9>", 3},
              {"\u2581", 4},
              {"a", 5},
              {"b", 6},
              {"\u2581a", 7}}},
            {"merges", {"\u2581 a"}}}}};
}

std::unique_ptr<Tokenizer> load(const Json& json, const char* config = "{}") {
  const test::TempDir folder;
  write_file_in_place(folder / "tokenizer.json", json.dump());
  write_file_in_place(folder / "tokenizer_config.json", config);
  return load_tokenizer(folder.path());
}

}  // namespace

TEST_CASE("BPE over characters takes spaces, bytes and the unknown as Hugging Face does",
          "[text]") {
  const auto tokenizer = load(llama_json());
  const auto ids = [&](const char* text) { return test::ids_of(*tokenizer, text); };
  CHECK(ids("a ab") == Ids{7, 7, 6});
  CHECK(ids("").empty());
  CHECK(ids(" a") == Ids{4, 7});
  CHECK(ids("\u00e9") == Ids{4, 2, 3});
  CHECK(ids("xyaz") == Ids{4, 0, 5, 0});
  CHECK(ids("a<s>b") == Ids{7, 1, 4, 6});
  CHECK(tokenizer->decode(Ids{7, 7, 6}) == "a ab");
  CHECK(tokenizer->decode(Ids{4, 7}) == " a");
  CHECK(tokenizer->special().bos == 1);
  CHECK(tokenizer->special().eos == -1);
  CHECK(tokenizer->special().unk == 0);
}

// Expectations are ByteFallback's of tokenizers.
TEST_CASE("byte pieces that are no text become U+FFFD, each of their run", "[text]") {
  const auto tokenizer = load(llama_json());
  CHECK(tokenizer->decode(Ids{2, 3}) == "\u00e9");
  CHECK(tokenizer->decode(Ids{2}) == "\ufffd");
  CHECK(tokenizer->decode(Ids{5, 2, 3, 2, 6, 2, 3}) == "a\ufffd\ufffd\ufffdb\u00e9");
}

TEST_CASE("the options of BPE over characters count", "[text]") {
  Json json = llama_json();
  json["model"]["fuse_unk"] = false;
  json["model"]["byte_fallback"] = false;
  CHECK(test::ids_of(*load(json), "xy\u00e9") == Ids{4, 0, 0, 0});
  json["normalizer"] = json["normalizer"]["normalizers"][1];
  CHECK(test::ids_of(*load(json), "a a") == Ids{5, 7});
  CHECK(load(json)->decode(Ids{7}) == " a");
  CHECK(encode(*load(json, R"({"add_bos_token": true})"), "a", 9).ids == Ids{1, 5});
  CHECK(encode(*load(json, R"({"add_bos_token": false})"), "a", 9).ids == Ids{5});
  CHECK_THROWS_WITH(load(json, R"({"add_eos_token": true})"),
                    Contains("\"add_eos_token\" is true, but there is no \"eos_token\""));
  json["normalizer"]["pattern"] = {{"Regex", "."}};
  CHECK_THROWS_WITH(load(json), Contains("tokenizer.json: the normalizer {"));
}

TEST_CASE("of sequences of pre-tokenizers only Digits before ByteLevel is read", "[text]") {
  const auto with = [](const Json& steps) {
    return Json{{"normalizer", nullptr},
                {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
                {"post_processor", nullptr},
                {"decoder", {{"type", "ByteLevel"}}},
                {"model",
                 {{"type", "BPE"},
                  {"vocab", {{"1", 0}, {"2", 1}, {"12", 2}}},
                  {"merges", Json::array({Json::array({"1", "2"})})}}}};
  };
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  CHECK(test::ids_of(*load(with({digits, bytes})), "12") == Ids{0, 1});
  CHECK_THROWS_WITH(load(with({bytes, digits})), Contains("the pre_tokenizer {"));
  CHECK_THROWS_WITH(load(with({Json{{"type", "Digits"}, {"individual_digits", false}}, bytes})),
                    Contains("the pre_tokenizer {"));
  CHECK_THROWS_WITH(load(with({digits, Json{{"type", "ByteLevel"}, {"add_prefix_space", true}}})),
                    Contains("the pre_tokenizer {"));
}

}  // namespace mtlora
