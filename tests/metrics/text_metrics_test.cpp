// The metrics of generated text give the numbers of sacreBLEU, and their words are those of
// Stanford's tokenizer (scripts/golden/text_metrics.py).

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "lib/core/error.h"
#include "lib/metrics/ptb_tokens.h"
#include "lib/metrics/score.h"
#include "lib/metrics/score_text.h"
#include "lib/metrics/tokenize_13a.h"
#include "tests/support/paths.h"

using namespace mtlora;

namespace {

Json golden() {
  return read_json(test::source_root() / "tests" / "cases" / "metrics" / "text.json");
}

std::vector<TextSegment> segments_of(const Json& list) {
  std::vector<TextSegment> segments;
  for (const Json& s : list)
    segments.push_back({s.at("hypothesis"), s.at("references").get<std::vector<std::string>>()});
  return segments;
}

double score(const std::vector<TextSegment>& segments, const std::string& metric) {
  return score_texts(segments, {.metrics = {parse_scored_metric(metric)}}).metrics[0].score;
}

std::vector<std::string> list(std::initializer_list<std::string> words) {
  return words;
}

}  // namespace

TEST_CASE("BLEU and chrF equal sacreBLEU", "[metrics]") {
  const std::vector<std::pair<std::string, std::string>> metrics = {
      {"bleu", "bleu:variant=sacrebleu"},
      {"bleu lowercase", "bleu:variant=sacrebleu:lowercase=true"},
      {"chrf", "chrf"},
      {"chrf++", "chrf++"},
      {"chrf lowercase", "chrf:lowercase=true"}};
  const Json cases = golden().at("corpora");
  CHECK(cases.size() == 6);
  for (const Json& c : cases) {
    const auto segments = segments_of(c.at("segments"));
    CHECK(c.at("expect").size() == metrics.size());
    for (const auto& [name, spec] : metrics) {
      INFO(c.at("why") << ": " << name);
      CHECK(std::abs(score(segments, spec) - c.at("expect").at(name).get<double>()) <= 1e-9);
    }
    const auto chrf =
        score_texts(segments, {.metrics = {parse_scored_metric("chrf")}, .segments = true});
    const auto expected = c.at("sentence_chrf").get<std::vector<double>>();
    REQUIRE(chrf.metrics[0].segments.size() == expected.size());
    for (size_t i = 0; i < expected.size(); ++i)
      CHECK(std::abs(chrf.metrics[0].segments[i] - expected[i]) <= 1e-9);
  }
}

TEST_CASE("Penn Treebank words equal those of Stanford's tokenizer", "[metrics]") {
  const Json cases = golden().at("ptb");
  CHECK(cases.size() == 22);
  for (const Json& c : cases) {
    INFO(c.at("text"));
    CHECK(ptb_words(c.at("text").get<std::string>()) ==
          c.at("words").get<std::vector<std::string>>());
  }
}

TEST_CASE("13a words have punctuation apart, but not between digits", "[metrics]") {
  CHECK(tokenize_13a("It's 3,000.5 m, i.e. 5-6!") ==
        list({"It's", "3,000.5", "m", ",", "i", ".", "e", ".", "5", "-", "6", "!"}));
  CHECK(tokenize_13a("R&amp;B &quot;x&quot; <skipped>... -a\u00a0b") ==
        list({"R", "&", "B", "\"", "x", "\"", ".", ".", ".", "-a", "b"}));
  CHECK(tokenize_13a("").empty());
}

TEST_CASE("text is lower-cased and split as Python does it", "[metrics]") {
  CHECK(scoring::lower_cased("Ärger IN İzmir") == "ärger in i\u0307zmir");
  CHECK(scoring::ascii_lower_cased("Ärger IN") == "Ärger in");
  CHECK(scoring::split_at_non_words(" It's a_b (2,5 m²) – é!  ") ==
        "It ' s a_b ( 2 , 5 m² ) – é !");
  CHECK(scoring::split_at_non_words("").empty());
  CHECK(scoring::split_at_non_words("\xff x") == "ÿ x");
}

TEST_CASE("a missing reference counts as length 0 in BLEU's brevity penalty", "[metrics]") {
  std::vector<TextSegment> segments = {{"a b c d", {"a b c d e f g h i"}}};
  const std::string bleu = "bleu:variant=multi-bleu";
  CHECK(score(segments, bleu) == Approx(100 * std::exp(1 - 9.0 / 4)).epsilon(1e-12));
  segments[0].empty_references = 1;  // 4 away from 4 words, as the other is 5 away
  CHECK(score(segments, bleu) == Approx(100).epsilon(1e-12));
  for (const char* other : {"rouge_l", "chrf", "cider"}) {
    INFO(other);
    auto without = segments;
    without[0].empty_references = 0;
    CHECK(score(segments, other) == score(without, other));
  }
}

TEST_CASE("the scripts of BLEU differ in case and in runs that are never right", "[metrics]") {
  const std::vector<TextSegment> segments = {{"The boat sank in May", {"the boat sank at noon"}}};
  CHECK(score(segments, "bleu:variant=multi-bleu") == 0);
  CHECK(score(segments, "bleu:variant=multi-bleu:lowercase=true") == 0);
  // 3/5, 2/4, 1/3 of the runs are right, and 1/2 of the two of four words.
  const double smoothed = std::pow(3.0 / 5 * 2 / 4 * 1 / 3 * 1 / 4, 0.25);
  CHECK(score(segments, "bleu") == Approx(100 * smoothed).epsilon(1e-12));
  CHECK(score({{"boat", {"boat"}}}, "bleu") == Approx(100).epsilon(1e-12));
  CHECK(score({{"boat", {"boat"}}}, "bleu:variant=sacrebleu") == 0);
}

TEST_CASE("mteval-v13a lowers A to Z only, as its tr does; the Python port all letters",
          "[metrics]") {
  const std::vector<TextSegment> accent = {{"École du soir", {"école du soir"}}},
                                 plain = {{"Ecole du soir", {"ecole du soir"}}};
  for (const char* metric : {"bleu", "nist"}) {
    INFO(metric);
    CHECK(score(accent, metric) < score(plain, metric));
  }
  CHECK(score(accent, "nist:variant=python") == score(plain, "nist:variant=python"));
}

TEST_CASE("an empty output scores nothing and a corpus of them is no error", "[metrics]") {
  for (const char* metric : {"bleu", "bleu:variant=multi-bleu", "bleu:variant=sacrebleu", "nist",
                             "nist:variant=python", "rouge_l", "cider", "chrf", "chrf++"}) {
    INFO(metric);
    CHECK(score({{"", {"A boat."}}, {" ", {"A lake.", "The lake."}}}, metric) == 0);
  }
  CHECK(score({{"", {"A boat ."}}}, "ter") == 1);  // insert every word
}

TEST_CASE("NIST weighs a run by what it says beyond its begin", "[metrics]") {
  // Four words of reference, each but "a" once: info(b) = log2(4 / 1), info(a) = log2(4 / 2),
  // info(a b) = log2(2 / 1).
  const std::vector<TextSegment> segments = {{"a b", {"a b a c"}}};
  const double matched = (1 + 2) / 2.0 + 1 / 1.0;
  const double beta = std::log(0.5) / std::pow(std::log(1.5), 2);
  const double penalty = std::exp(beta * std::pow(std::log(0.5), 2));
  CHECK(score(segments, "nist") == Approx(matched * penalty).epsilon(1e-12));
}

TEST_CASE("a metric of text that is not known is named with the nearest one", "[metrics]") {
  CHECK_THROWS_WITH(parse_scored_metric("blue"),
                    "unknown text metric \"blue\"; did you mean \"bleu\"?");
  CHECK_THROWS_AS(score({{"a", {"a"}}}, "bleu:variant=perl"), Error);
  CHECK_THROWS_AS(score({{"a", {"a"}}}, "bleu:varant=multi-bleu"), Error);
  CHECK_THROWS_AS(score({{"a", {"a"}}}, "cider:n=4"), Error);
}

TEST_CASE("every text metric of the list says what it is and whose number it equals", "[metrics]") {
  std::set<std::string> names;
  for (const TextMetric& metric : text_metrics()) {
    INFO(metric.name);
    CHECK_FALSE(metric.summary.empty());
    CHECK_FALSE(metric.source.empty());
    names.insert(metric.name);
  }
  for (const char* name : {"bleu", "chrf", "cider", "nist", "rouge_l"}) CHECK(names.contains(name));
}
