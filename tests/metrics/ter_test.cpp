// TER against tercom's own outputs: its sample, and its logs of the WebNLG challenge 2017.
#include <catch2/catch.hpp>
#include <ctime>
#include <fstream>
#include <map>
#include <random>
#include <regex>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/metrics/ter_edits.h"
#include "lib/metrics/ter_words.h"
#include "lib/metrics/text_metric.h"
#include "tests/support/paths.h"

namespace mtlora {
namespace {

std::string from_latin1(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | byte >> 6);
      out += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return out;
}

/// Lines of tercom's Trans format, `text (id)`, by id in the order of their first line.
std::vector<std::pair<std::string, std::vector<std::string>>> read_trans(
    const std::filesystem::path& file, bool is_utf8) {
  std::vector<std::pair<std::string, std::vector<std::string>>> out;
  std::map<std::string, size_t> seen;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const size_t open = line.rfind('('), close = line.rfind(')');
    if (close == std::string::npos) FAIL("a line without an id: " << line);
    const std::string id = line.substr(open + 1, close - open - 1);
    const auto [at, is_new] = seen.try_emplace(id, out.size());
    if (is_new) out.push_back({id, {}});
    out[at->second].second.push_back(is_utf8 ? line.substr(0, open)
                                             : from_latin1(line.substr(0, open)));
  }
  return out;
}

std::vector<TextSegment> read_corpus(const std::filesystem::path& hypotheses,
                                     const std::filesystem::path& references, bool is_utf8 = true) {
  std::map<std::string, std::vector<std::string>> texts;
  for (auto& [id, lines] : read_trans(references, is_utf8)) texts[id] = lines;
  std::vector<TextSegment> corpus;
  for (const auto& [id, lines] : read_trans(hypotheses, is_utf8)) {
    if (lines.size() != 1) FAIL(id << " stands twice");
    corpus.push_back({.hypothesis = lines[0], .references = texts.at(id)});
  }
  return corpus;
}

struct Sums {
  double score = 0, edits = 0, words = 0;
};

Sums score(const std::vector<TextSegment>& corpus, const Json& options = Json::object()) {
  const auto scorer = text_metric("ter").start(options, corpus);
  std::vector<double> sum(2);
  for (size_t i = 0; i < corpus.size(); ++i) {
    const auto now = scorer->statistics(i);
    for (size_t k = 0; k < 2; ++k) sum[k] += now.at(k);
  }
  return {scorer->score(sum, corpus.size()), sum[0], sum[1]};
}

/// How many edit distances tercom computes for the corpus.
std::pair<int64_t, int64_t> searches(const std::vector<TextSegment>& corpus) {
  std::map<std::string, int> numbers;
  const auto encode = [&](const std::string& text) {
    std::vector<int> out;
    for (const auto& word : ter_words(text, {})) {
      out.push_back(numbers.try_emplace(word, static_cast<int>(numbers.size())).first->second);
    }
    return out;
  };
  TerSearch search;
  int64_t pairs = 0;
  for (const auto& segment : corpus) {
    const auto hypothesis = encode(segment.hypothesis);
    for (const auto& reference : segment.references) {
      search.edits(hypothesis, encode(reference));
      ++pairs;
    }
  }
  return {search.searches(), pairs};
}

std::vector<double> numbers(const std::string& text, const std::string& pattern) {
  std::smatch found;
  std::vector<double> out;
  if (!std::regex_search(text, found, std::regex(pattern))) return out;
  for (size_t i = 1; i < found.size(); ++i) out.push_back(std::stod(found[i]));
  return out;
}

}  // namespace

TEST_CASE("TER of tercom's sample is tercom's", "[metrics]") {
  const auto folder = test::shared("golden/ter_tercom");
  if (!test::available(folder)) return;
  const auto corpus = read_corpus(folder / "hyp.txt", folder / "ref.txt", false);
  REQUIRE(corpus.size() == 100);
  const Sums sums = score(corpus);
  CHECK(sums.edits == 1787);
  CHECK(sums.words == 3180.75);
  const auto log = numbers(
      read_file(folder / "out.txt"),
      R"(Total TER: (\S+) \((\S+)/(\S+)\)\s+Number of calls to beam search: (\d+)\s+Number of segments scored: (\d+))");
  REQUIRE(log.size() == 5);
  CHECK(sums.score == log[0]);
}

TEST_CASE("TER of the WebNLG challenge is what its logs say", "[metrics]") {
  const auto folder = test::shared("golden/webnlg2017");
  if (!test::available(folder)) return;
  int logs = 0;
  for (const std::string system : {"Baseline", "UIT-DANGNT-CLNLP", "UPF-TALN"}) {
    for (const std::string track : {"all", "new", "old"}) {
      CAPTURE(system, track);
      const auto corpus =
          read_corpus(folder / "teams" / (system + "_" + track + "-cat_ter.txt"),
                      folder / "references" / ("gold-" + track + "-cat-reference-3ref.ter"));
      REQUIRE(corpus.size() == (track == "all" ? 1862U : track == "new" ? 891U : 971U));
      const std::string text =
          read_file(folder / "eval" / ("ter3ref-" + system + "-" + track + "-cat.txt"));
      const auto log = numbers(
          text,
          R"(Total TER: (\S+) \((\S+)/(\S+)\)\s+Number of calls to beam search: (\d+)\s+Number of segments scored: (\d+))");
      REQUIRE(log.size() == 5);
      const Sums sums = score(corpus);
      CHECK(sums.edits == log[1]);
      // The log's own sum goes through the segments in the order of a hash table.
      CHECK(sums.words == Approx(log[2]).epsilon(1e-13));
      CHECK(sums.score == Approx(log[0]).epsilon(1e-13));
      const auto [searched, pairs] = searches(corpus);
      CHECK(searched == static_cast<int64_t>(log[3]));
      CHECK(pairs == static_cast<int64_t>(log[4]));
      ++logs;
    }
  }
  CHECK(logs == 9);
}

TEST_CASE("TER splits words as tercom does under its flags", "[metrics]") {
  const Json all = Json::parse(read_file(test::source_root() / "tests/cases/metrics/ter.json"));
  REQUIRE(all.at("cases").size() == 48);
  for (const Json& one : all.at("cases")) {
    CAPTURE(one.dump());
    CHECK(ter_words(one.at("line").get<std::string>(), parse<TerWords>(one.at("options"))) ==
          one.at("words").get<std::vector<std::string>>());
  }
}

TEST_CASE("TER of texts of more than 64 words goes without most edit distances", "[metrics]") {
  std::mt19937 draw(1);
  const auto text = [&] {
    std::vector<int> words(300);
    for (int& word : words) word = static_cast<int>(draw() % 100);
    return words;
  };
  const std::clock_t begin = std::clock();
  TerSearch search;
  int edits = 0;
  for (int i = 0; i < 12; ++i) {
    const auto hypothesis = text(), reference = text();
    edits += search.edits(hypothesis, reference);
  }
  // As found with the edit distance of every shift, which takes 34 s instead of 1.
  CHECK(edits == 3420);
  CHECK(search.searches() == 223556);
  CHECK((std::clock() - begin) / CLOCKS_PER_SEC < 15);
}

TEST_CASE("TER counts one edit for a shift and takes the nearest reference", "[metrics]") {
  const std::vector<TextSegment> corpus = {
      {.hypothesis = "d e a b c", .references = {"x y z", "a b c d e", "a b c d e f g"}},
      {.hypothesis = "", .references = {"a b"}},
      {.hypothesis = "a b", .references = {"A B"}}};
  const auto scorer = text_metric("ter").start(Json::object(), corpus);
  CHECK(scorer->statistics(0) == std::vector<double>{1, 5});
  CHECK(scorer->statistics(1) == std::vector<double>{2, 2});
  CHECK(scorer->statistics(2) == std::vector<double>{0, 2});
  CHECK(scorer->score({3, 9}, 3) == 3.0 / 9);
  CHECK(text_metric("ter").start({{"case_sensitive", true}}, corpus)->statistics(2) ==
        std::vector<double>{2, 2});
  CHECK(!text_metric("ter").larger_is_better);
}

}  // namespace mtlora
