// Tokenizers in GGUF files that are built in code.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "lib/core/error.h"
#include "lib/text/sentencepiece_model.h"
#include "tests/core/gguf_file.h"
#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

using Catch::Contains;
using test::GgufBytes;
using Ids = std::vector<int32_t>;

struct Parts {
  std::string model = "gpt2", pre = "smollm";
  std::vector<std::string> tokens = {"<e>", "a",  "b",  "\u0120",       "1",
                                     "2",   "12", "ab", "\u0120\u0120", "<u>"},
                           merges = {"1 2", "a b", "\u0120 \u0120"};
  std::vector<int32_t> types = {3, 1, 1, 1, 1, 1, 1, 1, 1, 4};
  uint32_t eos = 0;
};

GgufBytes bytes_of(const Parts& parts) {
  GgufBytes made;
  made.add("tokenizer.ggml.model", parts.model.c_str())
      .add("tokenizer.ggml.pre", parts.pre.c_str())
      .add("tokenizer.ggml.tokens", parts.tokens)
      .add("tokenizer.ggml.merges", parts.merges)
      .add_numbers("tokenizer.ggml.token_type", 5, parts.types)
      .add("tokenizer.ggml.eos_token_id", parts.eos);
  return made;
}

std::unique_ptr<Tokenizer> loaded(const GgufBytes& made) {
  const test::TempDir folder;
  write_file(folder / "a.gguf", made.bytes());
  return load_tokenizer(folder.path());
}

// tests/cases' tokenizer of Llama 3's layout, as llama.cpp's converter writes it.
GgufBytes llama3_file() {
  const Json json = read_json(test::small("llama3") / "tokenizer.json");
  std::map<int32_t, std::string> tokens;
  for (const auto& [token, id] : json["model"]["vocab"].items()) tokens[id] = token;
  std::vector<int32_t> types(tokens.size(), 1);
  for (const Json& added : json["added_tokens"]) {
    tokens[added["id"]] = added["content"];
    types.push_back(3);
  }
  Parts parts{.pre = "llama-bpe", .tokens = {}, .merges = {}, .types = types, .eos = 402};
  for (const auto& [id, token] : tokens) parts.tokens.push_back(token);
  for (const Json& merge : json["model"]["merges"])
    parts.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  return bytes_of(parts).add("tokenizer.ggml.bos_token_id", 401u);
}

// tests/cases' SentencePiece model, in the same way.
struct Pieces {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;

  Pieces() {
    for (const auto& piece :
         read_sentencepiece_model(test::small("sentencepiece") / "tokenizer.model").pieces)
      add(piece.text, piece.score, static_cast<int32_t>(piece.type));
  }
  void add(const std::string& token, float score, int32_t type) {
    tokens.push_back(token);
    scores.push_back(score);
    types.push_back(type);
  }
  GgufBytes file() const {
    GgufBytes made;
    made.add("tokenizer.ggml.model", "llama")
        .add("tokenizer.ggml.pre", "default")
        .add("tokenizer.ggml.tokens", tokens)
        .add_numbers("tokenizer.ggml.scores", 6, scores)
        .add_numbers("tokenizer.ggml.token_type", 5, types);
    return made;
  }
};

GgufBytes sentencepiece_file() {
  return Pieces().file();
}

// The ids of Hugging Face, or of SentencePiece, which leaves the frame to others.
void check_all(const Tokenizer& tokenizer, const char* cases, bool have_frame) {
  const Json all = read_json(test::source_root() / "tests/cases/tokenizers" / cases);
  REQUIRE(all.size() > 5);
  for (const Json& each : all) {
    const auto text = each["text"].get<std::string>();
    CAPTURE(text);
    if (text.find("<s>") != std::string::npos) continue;  // a special token for transformers
    Ids ids = encode(tokenizer, text, 512).ids;
    if (!have_frame) ids.erase(ids.begin());
    CHECK(ids == each["ids"].get<Ids>());
  }
}

std::string refusal_of(const GgufBytes& made) {
  try {
    loaded(made);
  } catch (const Error& e) {
    CHECK_THAT(e.what(), Contains("a.gguf: "));
    return e.what();
  }
  return "";
}
std::string refusal(const Parts& parts) {
  return refusal_of(bytes_of(parts));
}

}  // namespace

TEST_CASE("a GGUF file's byte-level BPE splits digits where its pre-tokenizer does", "[text]") {
  const auto smollm = loaded(bytes_of({})), gpt2 = loaded(bytes_of({.pre = "gpt-2"}));
  CHECK(test::ids_of(*smollm, "ab12") == Ids{7, 4, 5});
  CHECK(test::ids_of(*gpt2, "ab12") == Ids{7, 6});
  CHECK(test::ids_of(*smollm, "a  1") == Ids{1, 8, 4});
  CHECK(test::ids_of(*gpt2, "a  1") == Ids{1, 3, 3, 4});
  CHECK(test::ids_of(*smollm, "a<e>b<u>") == Ids{1, 0, 2, 9});
  CHECK(smollm->is_special(0));
  CHECK_FALSE(smollm->is_special(9));
  CHECK(smollm->special().eos == 0);
  CHECK(smollm->files().size() == 1);
}

TEST_CASE("Llama 3's tokenizer in a GGUF file gives the ids of its tokenizer.json", "[text]") {
  const GgufBytes file = llama3_file();
  check_all(*loaded(file), "llama3.json", true);
  // Without the word of newer converters, llama.cpp begins texts of this kind with it as well.
  CHECK(loaded(file)->frame().single.size() == 2);
  CHECK(loaded(GgufBytes(file).add("tokenizer.ggml.add_bos_token", false))->frame().single.size() ==
        1);
  const auto both = loaded(GgufBytes(file).add("tokenizer.ggml.add_eos_token", true));
  CHECK(encode_pair(*both, "a", "a", 9).ids == Ids{401, 64, 402, 401, 64, 402});
}

TEST_CASE("SentencePiece's tokenizer in a GGUF file gives the ids of its tokenizer.model",
          "[text]") {
  const GgufBytes file = sentencepiece_file();
  const auto tokenizer = loaded(file);
  check_all(*tokenizer, "sentencepiece.json", false);
  CHECK(tokenizer->special().bos == 1);
  CHECK(tokenizer->special().eos == 2);
  CHECK(tokenizer->special().unk == 0);
  CHECK(tokenizer->is_special(2));
  CHECK(
      test::ids_of(*tokenizer, " a") ==
      test::ids_of(*loaded(GgufBytes(file).add("tokenizer.ggml.add_space_prefix", false)), "  a"));
}

TEST_CASE("tokens of a user are cut out of a text as they are written, as llama.cpp does",
          "[text]") {
  Pieces pieces;
  pieces.add("two words", 0, 4);
  const auto tokenizer = loaded(pieces.file());
  Ids want = test::ids_of(*tokenizer, "a ");
  want.push_back(420);
  const Ids rest = test::ids_of(*tokenizer, ".");
  want.insert(want.end(), rest.begin(), rest.end());
  CHECK(test::ids_of(*tokenizer, "a two words.") == want);
  CHECK(tokenizer->decode(Ids{420}) == "two words");
  CHECK_FALSE(tokenizer->is_special(420));
}

TEST_CASE("the unknown token of a GGUF file is the one named, or typed so, or the first",
          "[text]") {
  Pieces pieces;
  REQUIRE(pieces.tokens[0] == "<unk>");
  pieces.types[0] = 3;  // as the converter writes it where tokenizer_config.json lists it
  const Ids want = test::ids_of(*loaded(sentencepiece_file()), "caf\u00e9 \u4e2d");
  for (const GgufBytes& file :
       {pieces.file(), pieces.file().add("tokenizer.ggml.unknown_token_id", 0u)}) {
    const auto tokenizer = loaded(file);
    CHECK(tokenizer->special().unk == 0);
    CHECK(test::ids_of(*tokenizer, "caf\u00e9 \u4e2d") == want);
  }
}

TEST_CASE("pieces that SentencePiece cannot take are told by their numbers", "[text]") {
  const auto refused = [](auto&& change) {
    Pieces pieces;
    change(pieces);
    return refusal_of(pieces.file());
  };
  CHECK(refused([](Pieces&) {}).empty());
  CHECK_THAT(refused([](Pieces& p) { p.scores[7] = NAN; }),
             Contains("the score of token 7 is nan"));
  CHECK_THAT(refused([](Pieces& p) { p.types[7] = 9; }), Contains("the type of token 7 is 9"));
  CHECK_THAT(refused([](Pieces& p) { p.tokens[300] = ""; }), Contains("token 300 is empty"));
  CHECK_THAT(refused([](Pieces& p) { p.tokens[300] = p.tokens[299]; }),
             Contains("the tokens 299 and 300 are both"));
  CHECK_THAT(refused([](Pieces& p) { p.types[300] = 2; }),
             Contains("the tokens 0 and 300 are both of type 2, unknown"));
  CHECK_THAT(refused([](Pieces& p) { p = {}, p.tokens = {}, p.scores = {}, p.types = {}; }),
             Contains("has no tokens"));
  CHECK_THAT(refusal_of(Pieces().file().add("tokenizer.ggml.unknown_token_id", 5u)),
             Contains("unknown_token_id\" is 5, but token 0 is of the type unknown"));
  CHECK_THAT(refused([](Pieces& p) { p.types[10] = 1; }), Contains("255 of the 256 tokens"));
  CHECK_THAT(refused([](Pieces& p) { p.scores.pop_back(); }),
             Contains("419 scores of tokens for 420 tokens"));
}

TEST_CASE("what is saved of a GGUF file's tokenizer loads as the same", "[text]") {
  for (const GgufBytes& file : {llama3_file(), sentencepiece_file()}) {
    const auto tokenizer = loaded(file);
    const test::TempDir folder;
    tokenizer->save(folder.path());
    const auto saved = load_tokenizer(folder.path());
    const std::string text = "It's 2015,  <|begin|><s> caf\u00e9\n\n \U0001f600 x";
    const Encoding want = encode(*tokenizer, text, 512);
    CHECK(encode(*saved, text, 512).ids == want.ids);
    CHECK(saved->decode(want.ids) == tokenizer->decode(want.ids));
    CHECK(saved->vocab_size() == tokenizer->vocab_size());
    std::filesystem::remove(folder / "tokenizer_config.json");
    CHECK(encode(*load_tokenizer(folder.path()), text, 512).ids == want.ids);
  }
}

TEST_CASE("a tokenizer in a GGUF file that is not implemented or not whole is refused", "[text]") {
  CHECK(refusal({}).empty());
  CHECK_THAT(refusal({.model = "t5"}), Contains("\"t5\" is not implemented (only gpt2, llama)"));
  CHECK_THAT(refusal({.pre = "tekken"}),
             Contains("\"tekken\" is not implemented (only gpt-2, smollm, llama-bpe, llama3, "));
  CHECK_THAT(refusal({.model = "llama"}), Contains("lacks the metadata \"tokenizer.ggml.scores\""));
  CHECK_THAT(refusal({.types = {3}}), Contains("1 types of tokens for 10 tokens"));
  CHECK_THAT(refusal({.eos = 10}), Contains("10 is not one of its 10 tokens"));
  CHECK_THAT(refusal({.merges = {"a c"}}), Contains("needs the token \"c\""));
  CHECK_THAT(refusal({.merges = {"ab"}}), Contains("the merge \"ab\""));
  Parts parts;
  parts.tokens[2] = "a";
  CHECK_THAT(refusal(parts), Contains("the tokens 1 and 2 are both \"a\""));
  parts.tokens[2] = "\xff";
  CHECK_THAT(refusal(parts), Contains("\"tokenizer.ggml.tokens\": number 2 is not UTF-8"));
}

TEST_CASE("of several GGUF files in a folder one must be named", "[text]") {
  const test::TempDir folder;
  write_file(folder / "a.gguf", "");
  write_file(folder / "b.gguf", "");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()),
                    Contains("there are 2 GGUF files: a.gguf, b.gguf; name one"));
  CHECK_THROWS_WITH(load_tokenizer(folder / "a.gguf"), Contains("this is not a GGUF file"));
}

TEST_CASE("a tokenizer.model that is no SentencePiece model is refused", "[text]") {
  const test::TempDir folder;
  write_file(folder / "tokenizer.model", "no model");
  CHECK_THROWS_WITH(load_tokenizer(folder.path()),
                    Contains("tokenizer.model: is no SentencePiece model"));
}

}  // namespace mtlora
