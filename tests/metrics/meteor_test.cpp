// METEOR against meteor-1.5.jar with the matchers exact, stem and synonym
// (scripts/golden/meteor.py); with paraphrases: meteor_paraphrases_test.cpp. Where they found
// nothing in a segment of the WebNLG challenge the score must be its log's, and the number of those
// segments is what the jar has without them.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/metrics/meteor_align.h"
#include "lib/metrics/text_metric.h"
#include "tests/support/paths.h"

namespace mtlora {
namespace {

Json cases() {
  return Json::parse(read_file(test::source_root() / "tests/cases/metrics/meteor.json"));
}

std::filesystem::path data() {
  return test::shared("golden/meteor-1.5/resources");
}

std::vector<std::string> read_lines(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The challenge's texts; its references stand three to an output, absent ones as empty lines.
std::vector<TextSegment> read_corpus(const std::string& system, const std::string& track) {
  const auto folder = test::shared("golden/webnlg2017");
  const auto outputs = read_lines(folder / "teams" / (system + "_" + track + "-cat.txt"));
  const auto references =
      read_lines(folder / "references" / ("gold-" + track + "-cat-reference-3ref.meteor"));
  std::vector<TextSegment> corpus;
  for (size_t i = 0; i < outputs.size(); ++i) {
    corpus.push_back({.hypothesis = outputs[i], .references = {}});
    for (size_t k = 3 * i; k < 3 * i + 3; ++k) {
      if (references.at(k).empty()) {
        ++corpus.back().empty_references;
      } else {
        corpus.back().references.push_back(references[k]);
      }
    }
  }
  return corpus;
}

/// The scores of the segments of a log of the jar; none where there is no log.
std::vector<double> read_log(const std::string& system, const std::string& track) {
  std::vector<double> scores;
  const auto log =
      test::shared("golden/webnlg2017/eval/meteor-" + system + "-" + track + "-cat.txt");
  for (const std::string& line : read_lines(log)) {
    if (line.starts_with("Segment ")) scores.push_back(std::stod(line.substr(line.find('\t'))));
  }
  return scores;
}

std::string error_of(const Json& options) {
  const std::vector<TextSegment> corpus = {{.hypothesis = "a", .references = {"a"}}};
  try {
    text_metric("meteor").start(options, corpus);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// The most memory that the process has held so far.
int64_t peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

}  // namespace

TEST_CASE("METEOR of a segment is the jar's under all its flags of normalisation", "[metrics]") {
  if (!test::available(data())) return;
  const Json all = cases();
  std::vector<TextSegment> corpus;
  for (const Json& one : all.at("segments")) {
    corpus.push_back({.hypothesis = one.at("hypothesis"), .references = one.at("references")});
  }
  REQUIRE(corpus.size() == 17);
  for (const std::string flags : {"full", "lower", "none", "full without punctuation"}) {
    Json options = {
        {"data", data().string()}, {"normalize", flags}, {"modules", {"exact", "stem", "synonym"}}};
    if (flags.ends_with("punctuation"))
      options.update({{"normalize", "full"}, {"punctuation", false}});
    const auto scorer = text_metric("meteor").start(options, corpus);
    for (size_t i = 0; i < corpus.size(); ++i) {
      CAPTURE(flags, corpus[i].hypothesis);
      CHECK(scorer->score(scorer->statistics(i), 1) ==
            all.at("segments").at(i).at("scores").at(flags).get<double>());
    }
  }
}

TEST_CASE("METEOR of the WebNLG challenge's systems is the jar's", "[metrics]") {
  if (!test::available(data()) || !test::available(test::shared("golden/webnlg2017"))) return;
  const Json all = cases();
  REQUIRE(all.at("corpora").size() == 9);
  for (const Json& want : all.at("corpora")) {
    const std::string system = want.at("system"), track = want.at("track");
    CAPTURE(system, track);
    const auto corpus = read_corpus(system, track);
    REQUIRE(corpus.size() == want.at("segments"));
    const auto scorer = text_metric("meteor").start({{"data", data().string()}}, corpus);
    CHECK(scorer->note() ==
          "by exact, stem, synonym only: not METEOR 1.5's score (its data: scripts/fetch_meteor)");
    const auto log = read_log(system, track);
    std::vector<double> sum(5 + 4 * 3);
    int as_in_log = 0;
    for (size_t i = 0; i < corpus.size(); ++i) {
      const auto now = scorer->statistics(i);
      for (size_t k = 0; k < sum.size(); ++k) sum[k] += now.at(k);
      if (!log.empty() && scorer->score(now, 1) == log.at(i)) ++as_in_log;
    }
    std::vector<std::vector<double>> matches;
    for (size_t k = 5; k < sum.size(); k += 4) {
      matches.emplace_back(sum.begin() + static_cast<std::ptrdiff_t>(k),
                           sum.begin() + static_cast<std::ptrdiff_t>(k) + 4);
    }
    CHECK(Json(matches) == want.at("matches"));
    CHECK(sum[0] == want.at("words"));
    CHECK(sum[1] == want.at("reference_words"));
    CHECK(sum[4] == want.at("chunks"));
    CHECK(scorer->score(sum, corpus.size()) == want.at("score").get<double>());
    if (log.empty()) {
      CHECK(want.at("segments_as_in_log").is_null());
    } else {
      CHECK(as_in_log == want.at("segments_as_in_log"));
    }
  }
}

TEST_CASE("METEOR needs no data for equal words and stems", "[metrics]") {
  const std::vector<TextSegment> corpus = {
      {.hypothesis = "The cats were running!", .references = {"nothing", "the cat runs !"}},
      {.hypothesis = "the same", .references = {"The same"}}};
  const auto scorer = text_metric("meteor").start({{"modules", {"exact", "stem"}}}, corpus);
  const auto sum = scorer->statistics(0);
  // words, references, function words, chunks; exact: the !, stem: cat run
  CHECK(sum == std::vector<double>{5, 4, 0, 0, 2, 2, 0, 2, 0, 2, 0, 2, 0});
  CHECK(scorer->score(scorer->statistics(1), 1) == 1);
}

TEST_CASE("METEOR aligns a text of one repeated word in little memory", "[metrics]") {
  constexpr int words = 1000;
  MeteorCandidates candidates(words, words);
  for (int reference = 0; reference < words; ++reference) {
    for (int test = 0; test < words; ++test) candidates.add({test, 1, reference, 1, 0, true});
  }
  const int64_t before = peak_megabytes();
  const MeteorAlignment alignment = meteor_align(candidates, 40);
  CHECK(peak_megabytes() - before < 500);  // 4400 with a set of words for every path tried
  CHECK(alignment.chunks == 1);
  for (int word = 0; word < words; ++word) {
    REQUIRE(alignment.matches[static_cast<size_t>(word)].value().test == word);
  }
}

TEST_CASE("METEOR says what it cannot do", "[metrics]") {
  CHECK_THAT(error_of(Json::object()), Catch::Contains("synonym needs the folder"));
  CHECK_THAT(error_of({{"modules", {"exact", "paraphrase"}}}),
             Catch::Contains("paraphrase needs the folder"));
  CHECK_THAT(error_of({{"modules", {"exact", "stemm"}}}), Catch::Contains("did you mean \"stem\""));
  CHECK_THAT(error_of({{"modules", {"exact", "exact"}}}), Catch::Contains("twice"));
  CHECK_THAT(error_of({{"modules", {"exact"}}, {"normalize", "lower"}, {"punctuation", false}}),
             Catch::Contains("needs normalize"));
  CHECK_THAT(error_of({{"data", "/nowhere"}}), Catch::Contains("/nowhere"));
}

}  // namespace mtlora
