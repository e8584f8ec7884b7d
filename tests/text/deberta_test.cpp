// DeBERTa-v2's tokenizer by its options and files, and what is refused; the ids themselves are
// compared with Hugging Face's in cases_test.cpp and glue_test.cpp.
#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using Ids = std::vector<int32_t>;

Json small_json() {
  return test::deberta_v4_json(read_sentencepiece_model(test::small("deberta") / "spm.model"));
}

std::unique_ptr<Tokenizer> small_with(const char* config) {
  return test::with_config(test::small("deberta"), config);
}

}  // namespace

TEST_CASE("DeBERTa's spm.model has BERT's frame and a [MASK] behind its pieces", "[text]") {
  const auto tokenizer = load_tokenizer(test::small("deberta"));
  const SpecialIds& special = tokenizer->special();
  CHECK(Ids{special.pad, special.cls, special.sep, special.unk, special.mask} ==
        Ids{0, 1, 2, 3, 600});
  CHECK(tokenizer->vocab_size() == 601);
  const Ids a = test::ids_of(*tokenizer, "a");
  REQUIRE(a.size() == 1);
  CHECK(encode(*tokenizer, "a", 9).ids == Ids{1, a[0], 2});
  CHECK(encode_pair(*tokenizer, "a", "a", 9).ids == Ids{1, a[0], 2, a[0], 2});
  CHECK(encode_pair(*tokenizer, "a", "a", 9).segments == Ids{0, 0, 0, 1, 1});
  CHECK(test::ids_of(*tokenizer, "[MASK]a[CLS]") == Ids{600, a[0], 1});
  CHECK(tokenizer->is_special(600));
  CHECK(tokenizer->decode(test::ids_of(*tokenizer, "the  tokens of it ")) == "the tokens of it");
}

TEST_CASE("the real spm.model has a [MASK] of id 128000", "[text]") {
  const auto folder = test::shared("tokenizers/deberta-v3");
  if (!test::available(folder)) return;
  const auto tokenizer = load_tokenizer(folder);
  CHECK(tokenizer->id("[MASK]") == 128000);
  CHECK(tokenizer->special().mask == 128000);
  CHECK(tokenizer->vocab_size() == 128001);
  CHECK(test::ids_of(*tokenizer, "x [MASK] b") == Ids{1204, 128000, 2165});
}

TEST_CASE("copies of DeBERTa's files load as the same tokenizer", "[text]") {
  const auto named = small_with(R"({"do_lower_case": true, "mask_token": "<m>"})");
  CHECK(named->id("<m>") == 600);
  CHECK(named->id("[MASK]") == -1);
  const test::TempDir source;
  fs::copy(test::small("deberta") / "spm.model", source / "spm.model");
  write_file_in_place(source / "tokenizer_config.json", R"({"do_lower_case": true})");
  write_file_in_place(source / "added_tokens.json", R"({"[MASK]": 600, "qq": 601})");
  for (const fs::path& folder : {source.path(), test::small("deberta_saved")}) {
    const auto first = load_tokenizer(folder);
    const test::TempDir copy;
    first->save(copy.path());
    const auto second = load_tokenizer(copy.path());
    CHECK(second->vocab_size() == first->vocab_size());
    for (const char* text : {"", "A  [MASK] token", "qq Caf\u00e9\n"})
      CHECK(encode(*second, text, 99).ids == encode(*first, text, 99).ids);
  }
  CHECK(load_tokenizer(source.path())->id("qq") == 601);
}

TEST_CASE("added tokens of DeBERTa get the ids that transformers gives them", "[text]") {
  const char* decoder = R"({"added_tokens_decoder": {
      "3": {"content": "[UNK]", "special": true, "normalized": true},
      "600": {"content": "[MASK]", "special": true}, "601": {"content": "qq"}},
      "additional_special_tokens": ["rr"]})";
  const auto tokenizer = small_with(decoder);
  CHECK(tokenizer->id("[MASK]") == 600);
  CHECK(tokenizer->id("qq") == 601);
  CHECK(tokenizer->id("rr") == 602);
  CHECK(tokenizer->is_special(602));
  CHECK_FALSE(tokenizer->is_special(601));
  // A list of further tokens stands in place of the model's own <ctl> and "def".
  const auto found = [](const Tokenizer& one, const char* text) {
    return test::ids_of(one, text).size() == 1;
  };
  CHECK_FALSE(found(*tokenizer, "<ctl>"));
  CHECK(found(*load_tokenizer(test::small("deberta")), "<ctl>"));
  CHECK_THROWS_WITH(small_with(R"({"added_tokens_decoder": {"700": {"content": "[MASK]"}}})"),
                    Contains("gives \"[MASK]\" the id 700, but its place is 600"));
}

TEST_CASE("a spm.model that is none or of another class is refused", "[text]") {
  CHECK_THROWS_WITH(small_with(R"({"tokenizer_class": "T5Tokenizer"})"), Contains("T5Tokenizer"));
  CHECK_NOTHROW(small_with(R"({"tokenizer_class": "DebertaV2TokenizerFast"})"));
  CHECK_THROWS_WITH(small_with(R"({"add_bos_token": true})"),
                    Contains("\"add_bos_token\": true is not implemented"));
  const test::TempDir folder;
  const auto load = [&] { return load_tokenizer(folder.path()); };
  const std::string whole = read_file(test::small("deberta") / "spm.model");
  write_file_in_place(folder / "spm.model", whole.substr(0, whole.size() / 2));
  CHECK_THROWS_WITH(load(), Contains("spm.model: is no SentencePiece model: it is cut off"));
  write_file_in_place(folder / "spm.model", "");
  CHECK_THROWS_WITH(load(), Contains("spm.model: is no SentencePiece model: it has no pieces"));
  write_file_in_place(folder / "spm.model",
                      read_file(test::small("sentencepiece") / "tokenizer.model"));
  CHECK_THROWS_WITH(load(), Contains("model_type is 2, but DeBERTa's is 1, unigram"));
}

TEST_CASE("what a unigram tokenizer.json has that is not implemented is named", "[text]") {
  const auto message = [](const auto& change, const char* config = "{}") {
    Json json = small_json();
    change(json);
    try {
      test::from_json(json, config);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("loaded");
  };
  const auto normalizer = [&](const Json& step) {
    return message([&](Json& j) { j["normalizer"] = step; });
  };
  const auto pre = [&](const Json& steps) {
    return message([&](Json& j) { j["pre_tokenizer"]["pretokenizers"] = steps; });
  };
  const Json space = {{"type", "Metaspace"}, {"replacement", "\u2581"}};
  const Json punctuation = {{"type", "Punctuation"}, {"behavior", "Isolated"}};
  const Json words = {{"type", "WhitespaceSplit"}};
  const auto as_is = [](Json&) {};
  CHECK(message(as_is) == "loaded");
  CHECK(message(as_is, R"({"do_lower_case": false, "split_by_punct": false})") == "loaded");
  CHECK_THAT(message(as_is, R"({"do_lower_case": true})"), Contains("\"do_lower_case\": true"));
  CHECK_THAT(message(as_is, R"({"split_by_punct": true})"), Contains("\"split_by_punct\": true"));
  CHECK_THAT(normalizer({{"type", "Nmt"}}), Contains("the normalizer \"Nmt\""));
  CHECK_THAT(normalizer({{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}}),
             Contains("precompiled_charsmap of 3 bytes"));
  CHECK_THAT(normalizer({{"type", "Precompiled"}, {"precompiled_charsmap", "A*=="}}),
             Contains("'*' is no digit of Base64"));
  CHECK_THAT(normalizer({{"type", "Precompiled"}, {"precompiled_charsmap", "AAA"}}),
             Contains("Base64 of 3 characters is cut off"));
  CHECK(pre({words, punctuation, space}) == "loaded");
  CHECK_THAT(pre({space, punctuation}), Contains("the pre_tokenizer {"));
  CHECK_THAT(pre(Json::array({{{"type", "Punctuation"}, {"behavior", "Removed"}}})),
             Contains("the pre_tokenizer {"));
  Json first = space;
  first["prepend_scheme"] = "first";
  CHECK_THAT(pre({words, first}), Contains("behind WhitespaceSplit is not implemented"));
  first["prepend_scheme"] = "last";
  CHECK_THAT(pre(Json::array({first})), Contains("\"last\" is none of always, first, never"));
  CHECK_THAT(message([](Json& j) { j["model"].erase("unk_id"); }),
             Contains("\"unk_id\" is wanted"));
  CHECK_THAT(message([](Json& j) { j["model"]["unk_id"] = 600; }),
             Contains("id 600 is not one of the 600 pieces"));
  CHECK_THAT(message([](Json& j) { j["decoder"]["type"] = "BPEDecoder"; }),
             Contains("decoder \"BPEDecoder\""));
}

TEST_CASE("Metaspace behind WhitespaceSplit and before words without a space", "[text]") {
  Json json = small_json();
  const Json words = {{"type", "WhitespaceSplit"}};
  Json space = {{"type", "Metaspace"}, {"replacement", "\u2581"}};
  json["pre_tokenizer"]["pretokenizers"] = {words, space};
  const auto always = test::from_json(json);
  CHECK(test::ids_of(*always, "a\u2003it ") == test::ids_of(*always, "a it"));
  space["add_prefix_space"] = false;
  json["pre_tokenizer"] = space;
  const auto never = test::from_json(json);
  CHECK(never->decode(test::ids_of(*never, "it a")) == "it a");
  CHECK(test::ids_of(*never, "[MASK]it") != test::ids_of(*always, "[MASK]it"));
}

}  // namespace mtlora
