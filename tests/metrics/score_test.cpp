// The layer that scores: files of outputs and references, policies, reports, confidence intervals.

#include "lib/metrics/score.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/metrics/score_files.h"
#include "lib/metrics/score_threads.h"
#include "tests/support/little_room.h"
#include "tests/support/paths.h"

using namespace mtlora;

namespace {

// A folder of files to score.
class Files {
 public:
  std::string operator()(const std::string& name, const std::string& content) const {
    write_file(folder_ / name, content);
    return (folder_ / name).string();
  }

 private:
  test::TempDir folder_;
};

std::vector<TextSegment> many_segments() {
  const std::vector<std::string> words = {"a", "boat", "on", "the", "lake", "sank", "at", "noon"};
  std::vector<TextSegment> segments(300);
  for (size_t i = 0; i < segments.size(); ++i)
    for (size_t k = 0; k < 8; ++k) {
      segments[i].hypothesis += words[(i * k + i / 7) % 8] + " ";
      if (k == 0) segments[i].references = {"", "the "};
      segments[i].references[0] += words[(i * k) % 8] + " ";
      segments[i].references[1] += words[(i + k) % 8] + " ";
    }
  return segments;
}

ScoreOptions all_metrics() {
  ScoreOptions options;
  for (const char* name : {"bleu", "nist", "rouge_l", "cider", "chrf++"})
    options.metrics.push_back(parse_scored_metric(name));
  return options;
}

}  // namespace

TEST_CASE("CRLF, a byte-order mark and a missing final newline change nothing", "[metrics]") {
  const Files file;
  const std::string plain = file("plain", "a boat\nthe lake\n");
  const std::string odd = file("odd",
                               "\xEF\xBB\xBF"
                               "a boat\r\nthe lake");
  for (const std::string& hypotheses : {plain, odd}) {
    const auto segments = read_score_files({hypotheses, {odd, plain}}).segments;
    REQUIRE(segments.size() == 2);
    CHECK(segments[0].hypothesis == "a boat");
    CHECK(segments[1].hypothesis == "the lake");
    CHECK(segments[1].references == std::vector<std::string>{"the lake", "the lake"});
  }
}

TEST_CASE("an output that is an empty line is scored, one that is not there is an error",
          "[metrics]") {
  const Files file;
  const std::string references = file("references", "a boat\nthe lake\n");
  const auto segments = read_score_files({file("empty", "a boat\n\n"), {references}}).segments;
  REQUIRE(segments.size() == 2);
  CHECK(segments[1].hypothesis.empty());
  CHECK(score_texts(segments, all_metrics()).empty_hypotheses == 1);
  const std::string shorter = file("short", "a boat\n");
  CHECK_THROWS_WITH(read_score_files({shorter, {references}}),
                    shorter + " has 1 outputs, but " + references + " has 2 references");
  const std::string none = file("none", "");
  CHECK_THROWS_WITH(read_score_files({none, {references}}), none + ": has no output");
}

TEST_CASE("a missing reference is an empty one or the first again, as asked", "[metrics]") {
  const Files file;
  const std::string outputs = file("outputs", "a\nb\n"), one = file("one", "a 1\n\n"),
                    two = file("two", "a 2\nb 2\n"), three = file("three", " \nb 3\n");
  ScoreFiles files{outputs, {one, two, three}, "empty"};
  auto corpus = read_score_files(files);
  CHECK(corpus.missing_references == 2);
  CHECK(corpus.segments[0].references == std::vector<std::string>{"a 1", "a 2"});
  CHECK(corpus.segments[0].empty_references == 1);
  CHECK(corpus.segments[1].references == std::vector<std::string>{"b 2", "b 3"});
  files.missing_reference = "first";
  corpus = read_score_files(files);
  CHECK(corpus.segments[1].references == std::vector<std::string>{"b 2", "b 3", "b 2"});
  CHECK(corpus.segments[1].empty_references == 0);
  files.missing_reference = "none";
  corpus = read_score_files(files);
  CHECK(corpus.missing_references == 2);
  CHECK(corpus.segments[1].references == std::vector<std::string>{"b 2", "b 3"});
  CHECK(corpus.segments[0].empty_references + corpus.segments[1].empty_references == 0);
  files.references = {one};
  CHECK_THROWS_WITH(read_score_files(files), one + ":2: is empty in every reference file");
  files.missing_reference = "frist";
  CHECK_THROWS_WITH(read_score_files(files),
                    "unknown policy of missing references \"frist\"; did you mean \"first\"?");
}

TEST_CASE("two tables in different orders are an error", "[metrics]") {
  const Files file;
  const std::string references =
      file("references.csv", "mr,ref\n\"x, y\",a 1\n\"x, y\",a 2\nz,b 1\nz w,c 1\n");
  const auto outputs_of = [&](const std::string& rows) {
    const ScoreFiles files{file("outputs.tsv", "MR\toutput\n" + rows), {references}};
    return read_score_files(files).segments.at(2).hypothesis;
  };
  CHECK(outputs_of("\"x, y\"\ta\nz\tb\nz w\tc\n") == "c");
  CHECK(outputs_of("1\ta\n2\tb\n3\tc\n") == "c");  // what they are about is told in another way
  try {
    outputs_of("x, y\ta\nz w\tc\nz\tb\n");
    FAIL("no error");
  } catch (const Error& e) {
    CHECK_THAT(e.what(), Catch::Contains("outputs.tsv:3: is about \"z w\"") &&
                             Catch::Contains("references.csv:4, are about \"z\""));
  }
}

TEST_CASE("quotes around a cell are no text, quotes in it are", "[metrics]") {
  const Files file;
  const std::string references = file("references", "a\nb\nc\n");
  const auto texts_of = [&](const std::string& rows) {
    std::vector<std::string> texts;
    const ScoreFiles files{file("outputs.tsv", "MR\toutput\n" + rows), {references}};
    for (const TextSegment& s : read_score_files(files).segments) texts.push_back(s.hypothesis);
    return texts;
  };
  using Texts = std::vector<std::string>;
  CHECK(texts_of("1\t\"a \"\"b\"\"\"\n2\t\"A\" is near \"B\"\n3\t\"\"\n") ==
        Texts{"a \"b\"", "\"A\" is near \"B\"", ""});
  CHECK(texts_of("1\t'It''s a'\n2\t'b'\n3\t'c'\n") == Texts{"It's a", "b", "c"});
  CHECK(texts_of("1\t'Twas the lads'\n2\tb\n3\t'c'\n") == Texts{"'Twas the lads'", "b", "'c'"});
}

TEST_CASE("references in groups stand between blank lines or in a table", "[metrics]") {
  const Files file;
  const std::string outputs = file("outputs", "a\nb\n");
  const std::string groups = file("groups", "a 1\r\na 2\r\n\r\n\r\nb 1\r\n");
  const std::string table =
      file("references.csv", "mr,ref\r\n\"x, y\",a 1\r\n\"x, y\",\"a 2\"\r\nz,\"b \"\"1\"\"\"\r\n");
  for (const std::string& references : {groups, table}) {
    const auto segments = read_score_files({outputs, {references}}).segments;
    REQUIRE(segments.size() == 2);
    CHECK(segments[0].references == std::vector<std::string>{"a 1", "a 2"});
    CHECK(segments[1].references[0] == (references == table ? "b \"1\"" : "b 1"));
  }
  const std::string submission = file("outputs.tsv", "MR\toutput\n'x, y'\t'it''s a'\n'z'\t'b'\n");
  const auto segments = read_score_files({submission, {table}}).segments;
  CHECK(segments[0].hypothesis == "it's a");
  CHECK(segments[1].hypothesis == "b");
  const std::string three = file("three", "a\nb\nc\n");
  CHECK_THROWS_WITH(read_score_files({three, {table}}),
                    three + " has 3 outputs, but " + table + " has 2 groups of references");
  const std::string broken = file("broken.csv", "mr,ref\nx,a\nx,a,b\n");
  CHECK_THROWS_WITH(read_score_files({outputs, {broken}}),
                    broken + ":3: has 3 cells; wanted 2, what a text is about and the text");
}

TEST_CASE("what cannot be read is named with file and line", "[metrics]") {
  const Files file;
  const std::string good = file("good", "a\n"),
                    wide = file("wide",
                                "\xFF\xFE"
                                "a"),
                    mac = file("mac", "a\rb\n");
  CHECK_THROWS_WITH(read_score_files({wide, {good}}), wide + ": is UTF-16; save it as UTF-8");
  CHECK_THROWS_WITH(read_score_files({mac, {good}}),
                    mac + ":1: has a carriage return within the line; end lines with LF or CRLF");
  CHECK_THROWS_AS(read_score_files({good, {good + ".not"}}), Error);
  CHECK_THROWS_WITH(read_score_files({good, {}}), "no file of references is given");
}

TEST_CASE("lower case and tokenization come before the metrics", "[metrics]") {
  ScoreOptions options;
  options.metrics = {parse_scored_metric("bleu:variant=multi-bleu")};
  const std::vector<TextSegment> segments = {{"The boat-house.", {"the Boat - house ."}}};
  CHECK(score_texts(segments, options).metrics[0].score == 0);
  options.lowercase = options.tokenize = true;
  CHECK(score_texts(segments, options).metrics[0].score == Approx(100).epsilon(1e-12));
}

TEST_CASE("a report says the score, its details and what was scored", "[metrics]") {
  std::vector<TextSegment> segments = {{"a boat", {"a boat", "the boat"}}, {"", {"a lake"}}};
  segments[1].empty_references = 1;
  ScoreOptions options;
  options.metrics = {parse_scored_metric("rouge_l"), parse_scored_metric("chrf++")};
  options.segments = true;
  const Json json = score_texts(segments, options).json();
  CHECK(json.at("rouge_l") == Json::parse(R"({"score": 0.5, "segments": [1.0, 0.0]})"));
  CHECK(json.at("chrf++").at("options").at("word_order") == 2);
  CHECK_THROWS_WITH(parse_scored_metric("perplexity"), Catch::Contains("cider, chrf, chrf++"));
  CHECK(json.at("corpus").at("segments") == 2);
  CHECK(json.at("corpus").at("references") == 3);
  CHECK(json.at("corpus").at("empty_hypotheses") == 1);
  CHECK(json.at("corpus").at("missing_reference") == "empty");
  options.metrics.push_back(parse_scored_metric("rouge_l"));
  CHECK_THROWS_WITH(score_texts(segments, options), "the metric \"rouge_l\" is named twice");
  CHECK_THROWS_WITH(score_texts({}, options), "there is nothing to score: no output");
  CHECK_THROWS_WITH(score_texts({{"a", {"b"}}, {"a", {}}}, options), "output 2 has no reference");
}

TEST_CASE("neither scores nor intervals depend on the number of threads", "[metrics]") {
  const auto segments = many_segments();
  ScoreOptions options = all_metrics();
  options.segments = true;
  options.bootstrap = 100;
  options.threads = 1;
  const Json one = score_texts(segments, options).json();
  for (const size_t threads : {2, 3, 8}) {
    options.threads = threads;
    CHECK(score_texts(segments, options).json() == one);
  }
}

TEST_CASE("parallel_for does each once and passes an exception on", "[metrics]") {
  for (const size_t threads : {1, 2, 5}) {
    std::vector<int> done(1000, 0);
    parallel_for(
        done.size(), [&](size_t i) { ++done[i]; }, threads);
    CHECK(done == std::vector<int>(1000, 1));
    CHECK_THROWS_AS(parallel_for(
                        1000,
                        [](size_t i) {
                          if (i == 700) fail("seven hundred");
                        },
                        threads),
                    Error);
  }
  CHECK_NOTHROW(parallel_for(0, [](size_t) { fail("never"); }));
}

TEST_CASE("parallel_for does with the threads that the system has room for", "[metrics]") {
  std::vector<int> done(4000, 0);
  const test::LittleRoom room;
  parallel_for(
      done.size(), [&](size_t i) { ++done[i]; }, 4000, 1);
  CHECK(done == std::vector<int>(4000, 1));
}

TEST_CASE("an interval holds the score, follows its seed and narrows with more segments",
          "[metrics]") {
  const auto segments = many_segments();
  ScoreOptions options = all_metrics();
  options.bootstrap = 300;
  const ScoreReport report = score_texts(segments, options);
  for (const MetricScore& metric : report.metrics) {
    INFO(metric.label);
    REQUIRE(metric.interval);
    CHECK(metric.interval->low < metric.score);
    CHECK(metric.interval->high > metric.score);
  }
  CHECK(score_texts(segments, options).json() == report.json());
  options.seed = 1;
  CHECK(score_texts(segments, options).metrics[0].interval->low != report.metrics[0].interval->low);
  const ScoreReport few = score_texts({segments.begin(), segments.begin() + 30}, options);
  const auto width = [](const MetricScore& m) { return m.interval->high - m.interval->low; };
  CHECK(width(few.metrics[2]) > width(report.metrics[2]));
}

TEST_CASE("the interval of a mean is that of the normal distribution", "[metrics]") {
  // Half of the segments score 1, half 0: the mean of 400 has standard error 0.025.
  std::vector<TextSegment> segments(400, {"a", {"a"}});
  for (size_t i = 0; i < 200; ++i) segments[i].hypothesis = "b";
  ScoreOptions options;
  options.metrics = {parse_scored_metric("rouge_l")};
  options.bootstrap = 4000;
  const Interval interval = *score_texts(segments, options).metrics[0].interval;
  CHECK(std::abs(interval.low - (0.5 - 1.96 * 0.025)) < 0.005);
  CHECK(std::abs(interval.high - (0.5 + 1.96 * 0.025)) < 0.005);
  CHECK(percentile({1, 2, 3, 5}, 0.5) == 2.5);
  CHECK(percentile({7}, 0.975) == 7);
}

TEST_CASE("a task's preset is what its papers report", "[metrics]") {
  const ScoreOptions e2e = score_preset("e2e", "");
  CHECK_FALSE((e2e.lowercase || e2e.tokenize));
  CHECK(e2e.metrics.size() == 5);
  for (const char* task : {"webnlg", "dart"}) {
    const ScoreOptions preset = score_preset(task, "resources");
    CHECK((preset.lowercase && preset.tokenize));
    REQUIRE(preset.metrics.size() == 3);
    CHECK(preset.metrics[0].options.at("variant") == "multi-bleu");
    CHECK(preset.metrics[1].options.at("data") == "resources");
    CHECK(preset.metrics[2].name == "ter");
  }
  CHECK_THROWS_WITH(score_preset("web", ""), "unknown task \"web\"; known: e2e, webnlg, dart");
}
