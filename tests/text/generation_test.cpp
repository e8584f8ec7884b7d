// Every text of the shared data by the tokenizers of models that generate, against hashes of what
// Hugging Face and SentencePiece make of it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <future>

#include "lib/core/json.h"
#include "lib/text/unicode.h"
#include "tests/text/hashing.h"
#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

struct Texts {
  std::vector<std::string> texts;
  size_t invalid = 0;
};

void add_strings(const Json& json, std::vector<std::string>& texts) {
  if (json.is_string()) texts.push_back(json.get<std::string>());
  if (!json.is_structured()) return;
  for (const Json& each : json) add_strings(each, texts);
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    if (end == text.size()) return parts;
    begin = end + separator.size();
  }
}

// As `texts_of` of scripts/golden/generation_tokenizers.py.
Texts texts_of(const fs::path& file) {
  Texts result;
  const std::string content = read_file(file);
  if (file.extension() == ".json") {
    add_strings(Json::parse(content), result.texts);
    return result;
  }
  auto lines = split(content, "\n");
  if (lines.back().empty()) lines.pop_back();
  for (const std::string_view line : lines) {
    if (file.extension() == ".jsonl") {
      add_strings(Json::parse(line), result.texts);
      continue;
    }
    for (const std::string_view field : split(line, "\t"))
      for (const std::string_view piece : split(field, "||")) {
        if (invalid_utf8(piece))
          ++result.invalid;
        else
          result.texts.emplace_back(piece);
      }
  }
  return result;
}

struct Result {
  std::string hash;
  size_t returned = 0;  // texts that decoding gives back
};

Result run(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  test::Crc32 crc;
  Result result;
  Ids ids;
  for (const std::string& text : texts) {
    ids.clear();
    tokenizer.tokenize(text, ids);
    result.returned += tokenizer.decode(ids) == text;
    ids.push_back(-1);
    crc.add(ids);
  }
  result.hash = crc.hex();
  return result;
}

const fs::path& smollm2() {
  static const fs::path file =
      test::source_root() / "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  return file;
}

// The unigram model of DeBERTa as SentencePiece alone has it.
std::unique_ptr<Tokenizer> unigram() {
  const test::TempDir folder;
  fs::copy(test::shared("tokenizers/deberta-v3/spm.model"), folder / "tokenizer.model");
  return load_tokenizer(folder.path());
}

// As `is_tied` of the script: two equally good ways, of which versions of the library take
// different ones.
bool is_tied(const std::string& text) {
  return text == "2.11111111111111";
}

void check_all(const std::string& name, const Tokenizer& tokenizer, bool gives_back) {
  const Json want = read_json(test::source_root() / "tests/golden/tokenizers/generation.json");
  size_t texts = 0, returned = 0, tied = 0;
  for (const auto& [file, entry] : want["files"].items()) {
    INFO(name << " " << file);
    Texts read = texts_of(test::shared("data") / file);
    CHECK(read.texts.size() == entry["texts"].get<size_t>());
    CHECK(read.invalid == entry["invalid"].get<size_t>());
    texts += read.texts.size();
    if (name == "unigram") tied += std::erase_if(read.texts, is_tied);
    const Result result = run(tokenizer, read.texts);
    CHECK(result.hash == entry[name].get<std::string>());
    returned += result.returned;
  }
  CHECK(texts == want["texts"].get<size_t>());
  if (gives_back) CHECK(returned == texts);
  CHECK(tied == (name == "unigram" ? 2 : 0));
}

bool has_data() {
  return test::available(test::shared("data")) && test::available(test::shared("tokenizers"));
}

}  // namespace

TEST_CASE("all shared texts get the ids of GPT-2, and their bytes back", "[text]") {
  if (has_data()) check_all("gpt2", *load_tokenizer(test::shared("tokenizers/gpt2")), true);
}

TEST_CASE("all shared texts get the ids of SmolLM2, and their bytes back", "[text]") {
  if (has_data() && test::available(smollm2()))
    check_all("smollm2", *load_tokenizer(smollm2()), true);
}

TEST_CASE("all shared texts get the ids of stories260K, and their bytes back", "[text]") {
  const auto folder = test::shared("weights/stories260K");
  if (has_data() && test::available(folder))
    check_all("stories260K", *load_tokenizer(folder), true);
}

TEST_CASE("all shared texts get the ids of DeBERTa-v3", "[text]") {
  if (has_data())
    check_all("deberta", *load_tokenizer(test::shared("tokenizers/deberta-v3")), false);
}

TEST_CASE("all shared texts get the ids of SentencePiece, unigram and BPE", "[text]") {
  if (!has_data()) return;
  check_all("unigram", *unigram(), false);
  check_all("small", *load_tokenizer(test::small("sentencepiece")), true);
}

TEST_CASE("every file of the shared data is among the texts", "[text]") {
  if (!has_data()) return;
  const Json want = read_json(test::source_root() / "tests/golden/tokenizers/generation.json");
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(test::shared("data")))
    files += entry.is_regular_file();
  CHECK(files == 151);
  CHECK(want["files"].size() == files);
}

TEST_CASE("a SentencePiece model has Llama's frame, and byte pieces give their text", "[text]") {
  const auto tokenizer = load_tokenizer(test::small("sentencepiece"));
  const Json cases = read_json(test::source_root() / "tests/cases/tokenizers/sentencepiece.json");
  CHECK(cases.size() == 11);
  for (const Json& each : cases) {
    const auto text = each["text"].get<std::string>();
    CAPTURE(text);
    const Ids ids = test::ids_of(*tokenizer, text);
    if (text.find("<s>") == std::string::npos) {
      CHECK(ids == each["ids"].get<Ids>());
      if (text.find("\u2581") == std::string::npos) CHECK(tokenizer->decode(ids) == text);
    }
  }
  CHECK(tokenizer->special().bos == 1);
  CHECK(tokenizer->special().eos == 2);
  CHECK(tokenizer->special().unk == 0);
  CHECK(tokenizer->special().pad == -1);
  CHECK(encode(*tokenizer, "", 9).ids == Ids{1});
  CHECK(encode_pair(*tokenizer, "a", "a", 9).ids.size() == 4);
  CHECK(test::ids_of(*tokenizer, "</s><s>") == Ids{2, 1});
  CHECK(tokenizer->is_special(1));

  // Two characters of four bytes without pieces, the second one cut.
  const Ids faces = test::ids_of(*tokenizer, "\U0001f600\U0001f600");
  REQUIRE(faces.size() == 9);
  CHECK(tokenizer->decode(faces) == "\U0001f600\U0001f600");
  CHECK(tokenizer->decode(std::span(faces).first(7)) == "\U0001f600\ufffd\ufffd");
}

TEST_CASE("a tokenizer of any kind saves files that load as the same one", "[text]") {
  std::vector<fs::path> all = {test::small("bert"), test::small("gpt2"), test::small("llama3"),
                               test::small("sentencepiece")};
  if (test::available(smollm2())) all.push_back(smollm2());
  for (const fs::path& path : all) {
    CAPTURE(path);
    const test::TempDir folder;
    const auto first = load_tokenizer(path);
    first->save(folder.path());
    const auto second = load_tokenizer(folder.path());
    CHECK(second->vocab_size() == first->vocab_size());
    CHECK(second->special().bos == first->special().bos);
    CHECK(second->special().eos == first->special().eos);
    for (const char* text : {"", "a  12 b", "Caf\u00e9", "<|im_start|>x"})
      CHECK(encode(*second, text, 99).ids == encode(*first, text, 99).ids);
  }
}

TEST_CASE("the begin and end of a text are known where a tokenizer has them", "[text]") {
  CHECK(load_tokenizer(test::small("bert"))->special().bos == -1);
  CHECK(load_tokenizer(test::small("bert"))->special().eos == -1);
  const auto gpt2 = load_tokenizer(test::small("gpt2"));
  CHECK(gpt2->special().bos == gpt2->id("<|endoftext|>"));
  CHECK(gpt2->special().eos == gpt2->id("<|endoftext|>"));
  CHECK(gpt2->special().eos >= 0);
  const auto roberta = load_tokenizer(test::small("roberta"));
  CHECK(roberta->special().bos == roberta->id("<s>"));
  CHECK(roberta->special().eos == roberta->id("</s>"));
  const auto framed =
      test::with_config(test::small("gpt2"), R"({"add_bos_token": true, "add_eos_token": true})");
  const int32_t end = framed->special().eos;
  CHECK(encode(*framed, "", 9).ids == Ids{end, end});
  CHECK_THROWS_WITH(test::with_config(test::small("bert"), R"({"add_bos_token": true})"),
                    Catch::Contains("\"add_bos_token\": true is not implemented"));
}

TEST_CASE("SmolLM2's special tokens are found, and parts of a character give their bytes",
          "[text]") {
  if (!test::available(smollm2())) return;
  const auto tokenizer = load_tokenizer(smollm2());
  CHECK(tokenizer->vocab_size() == 49152);
  CHECK(tokenizer->special().bos == 1);
  CHECK(tokenizer->special().eos == 2);
  CHECK(tokenizer->special().unk == 0);
  CHECK(tokenizer->special().pad == 2);
  CHECK(tokenizer->token(1) == "<|im_start|>");
  CHECK(test::ids_of(*tokenizer, "<|im_start|>user<|im_end|>").size() == 3);
  CHECK(encode(*tokenizer, "", 9).ids.empty());
  const Ids digits = test::ids_of(*tokenizer, "a  2015");
  CHECK(tokenizer->token(digits[1]) == "\u0120\u0120");
  CHECK(digits.size() == 6);
  std::string bytes;
  const Ids ids = test::ids_of(*tokenizer, "\U0001f9ff\u4e2d");
  for (const int32_t& id : ids) bytes += tokenizer->decode(std::span(&id, 1));
  CHECK(ids.size() > 2);
  CHECK(bytes == "\U0001f9ff\u4e2d");
}

}  // namespace mtlora
