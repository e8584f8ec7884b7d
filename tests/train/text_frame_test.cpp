// What stands around the texts that a language model learns and continues.

#include "lib/train/encoded.h"
#include "tests/support/test.h"
#include "tests/text/tokenizers.h"

using namespace mtlora;

TEST_CASE("a prompt begins with what the tokenizer puts before a text, not behind it", "[train]") {
  const auto tokenizer = load_tokenizer(test::small("roberta"));  // <s> … </s>
  const SpecialIds special = tokenizer->special();
  const TextFrame frame = text_frame(*tokenizer);
  CHECK(frame.begin == std::vector<int32_t>{special.cls});
  CHECK(frame.end == special.eos);
  std::vector<int32_t> wanted{special.cls};
  tokenizer->tokenize("text", wanted);
  wanted.push_back(frame.separator);
  CHECK(prompt_ids(*tokenizer, frame, "text", 64).ids == wanted);
  wanted.pop_back();
  CHECK(prompt_ids(*tokenizer, plain_frame(*tokenizer), "text", 64).ids == wanted);
}
