// Every text of every GLUE file of the shared data against hashes of Hugging Face's ids.
#include <algorithm>
#include <catch2/catch.hpp>
#include <future>
#include <sstream>

#include "lib/core/json.h"
#include "lib/text/unicode.h"
#include "tests/text/hashing.h"
#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

// The parts between `separator`; a final empty one does not count where `drop_last` says so.
std::vector<std::string> split(const std::string& text, char separator, bool drop_last) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    if (end == text.size()) break;
    begin = end + 1;
  }
  if (drop_last && parts.back().empty()) parts.pop_back();
  return parts;
}

struct Texts {
  std::vector<std::string> texts;
  size_t invalid = 0;
};

// As `read_texts` of scripts/golden/token_ids.py.
Texts read_texts(const std::filesystem::path& file) {
  Texts result;
  for (const std::string& line : split(read_file(file), '\n', true)) {
    if (file.extension() == ".jsonl") {
      const Json row = parse_json(line, file.string());
      for (const char* key : {"premise", "hypothesis"})
        result.texts.push_back(row[key].get<std::string>());
      continue;
    }
    for (std::string& field : split(line, '\t', false)) {
      if (invalid_utf8(field)) {
        ++result.invalid;
      } else {
        result.texts.push_back(std::move(field));
      }
    }
  }
  return result;
}

std::string hashes(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                   size_t at_once) {
  std::string all;
  for (size_t begin = 0; begin < texts.size(); begin += at_once) {
    test::Crc32 crc;
    std::vector<int32_t> ids;
    for (size_t i = begin; i < std::min(texts.size(), begin + at_once); ++i) {
      tokenizer.tokenize(texts[i], ids);
      ids.push_back(-1);
    }
    crc.add(ids);
    all += (begin ? " " : "") + crc.hex();
  }
  return all;
}

Json golden() {
  return read_json(test::source_root() / "tests/golden/tokenizers/glue.json");
}

}  // namespace

TEST_CASE("all texts of the GLUE files get Hugging Face's ids", "[text]") {
  if (!test::available(test::shared("data")) || !test::available(test::shared("tokenizers")))
    return;
  const Json wanted = golden();
  const auto tokenizers = test::shared_tokenizers();
  const auto at_once = wanted["texts_per_hash"].get<size_t>();
  size_t texts = 0, invalid = 0;
  for (const auto& [name, entry] : wanted["files"].items()) {
    const Texts read = read_texts(test::shared("data") / name);
    INFO(name);
    REQUIRE(read.texts.size() == entry["texts"].get<size_t>());
    CHECK(read.invalid == entry["invalid"].get<size_t>());
    texts += read.texts.size();
    invalid += read.invalid;
    // Two tokenizers at a time: they are to be used from several threads.
    std::map<std::string, std::future<std::string>> made;
    for (const auto& [which, tokenizer] : tokenizers)
      made.emplace(which, std::async(std::launch::async, hashes, std::cref(*tokenizer),
                                     std::cref(read.texts), at_once));
    for (auto& [which, result] : made) {
      INFO(which);
      CHECK(result.get() == entry[which].get<std::string>());
    }
  }
  CHECK(wanted["files"].size() == 25);
  CHECK(texts == 566393);
  CHECK(invalid == 0);
}

TEST_CASE("pairs are framed and truncated as Hugging Face does", "[text]") {
  if (!test::available(test::shared("data")) || !test::available(test::shared("tokenizers")))
    return;
  const auto tokenizers = test::shared_tokenizers();
  size_t compared = 0, truncated = 0;
  const Json wanted = golden();
  for (const Json& entry : wanted["pairs"]) {
    const auto file = entry["file"].get<std::string>();
    const auto first = entry["first"].get<size_t>(), second = entry["second"].get<size_t>();
    const auto max_length = entry["max_length"].get<size_t>();
    std::map<std::string, test::Crc32> crcs;
    for (const std::string& line : split(read_file(test::shared("data") / file), '\n', true)) {
      const auto row = split(line, '\t', false);
      if (row.size() <= second) continue;
      for (const auto& [name, tokenizer] : tokenizers) {
        Encoding pair = encode_pair(*tokenizer, row[first], row[second], max_length);
        truncated += pair.dropped_tokens > 0;
        ++compared;
        pair.ids.push_back(-1);
        pair.segments.push_back(-1);
        crcs[name].add(pair.ids);
        crcs[name].add(pair.segments);
      }
    }
    INFO(file << " in " << max_length);
    CHECK(crcs.size() == 8);
    for (const auto& [name, crc] : crcs)
      CHECK((name + " " + crc.hex()) == (name + " " + entry[name].get<std::string>()));
  }
  CHECK(compared == 360576);
  CHECK(truncated > 0);
}

}  // namespace mtlora
