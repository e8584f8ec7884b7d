// Tokenizers in GGUF files that are built in code.
#include <catch2/catch.hpp>

#include "lib/core/error.h"
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

std::unique_ptr<Tokenizer> load(const Parts& parts) {
  GgufBytes made;
  made.add("tokenizer.ggml.model", parts.model.c_str())
      .add("tokenizer.ggml.pre", parts.pre.c_str())
      .add("tokenizer.ggml.tokens", parts.tokens)
      .add("tokenizer.ggml.merges", parts.merges)
      .add_numbers("tokenizer.ggml.token_type", 5, parts.types)
      .add("tokenizer.ggml.eos_token_id", parts.eos);
  const test::TempDir folder;
  write_file(folder / "a.gguf", made.bytes());
  return load_tokenizer(folder.path());
}

std::string refusal(const Parts& parts) {
  try {
    load(parts);
  } catch (const Error& e) {
    CHECK_THAT(e.what(), Contains("a.gguf: "));
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a GGUF file's byte-level BPE splits digits where its pre-tokenizer does", "[text]") {
  const auto smollm = load({}), gpt2 = load({.pre = "gpt-2"});
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

TEST_CASE("a tokenizer in a GGUF file that is not implemented or not whole is refused", "[text]") {
  CHECK(refusal({}).empty());
  CHECK_THAT(refusal({.model = "llama"}), Contains("\"llama\" is not implemented (only gpt2)"));
  CHECK_THAT(refusal({.pre = "llama-bpe"}),
             Contains("\"llama-bpe\" is not implemented (only gpt-2, smollm)"));
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
