// METEOR 1.5 whole, with its paraphrase table, which scripts/fetch_meteor fetches: against the logs
// of the WebNLG challenge 2017, against what the E2E challenge published, and against
// meteor-1.5.jar.
#include "lib/metrics/meteor_paraphrases.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/metrics/score.h"
#include "lib/metrics/score_files.h"
#include "lib/metrics/text_metric.h"
#include "tests/support/paths.h"

namespace mtlora {
namespace {

std::filesystem::path data() {
  return test::source_root() / "data/meteor";
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::istringstream in(read_file(file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct Log {
  std::vector<double> segments;
  double score = -1;
};

/// What the jar printed for a system of the WebNLG challenge.
Log read_log(const std::string& system, const std::string& track) {
  Log log;
  for (const std::string& line : lines_of(
           test::shared("golden/webnlg2017/eval/meteor-" + system + "-" + track + "-cat.txt"))) {
    if (line.starts_with("Segment "))
      log.segments.push_back(std::stod(line.substr(line.find('\t'))));
    if (line.starts_with("Final score:")) log.score = std::stod(line.substr(line.find(':') + 1));
  }
  return log;
}

std::vector<TextSegment> webnlg(const std::string& system, const std::string& track) {
  const auto folder = test::shared("golden/webnlg2017");
  const auto references =
      lines_of(folder / "references" / ("gold-" + track + "-cat-reference-3ref.meteor"));
  std::vector<TextSegment> corpus;
  for (const auto& output : lines_of(folder / "teams" / (system + "_" + track + "-cat.txt"))) {
    TextSegment segment{.hypothesis = output, .references = {}};
    for (size_t k = 3 * corpus.size(); k < 3 * corpus.size() + 3; ++k)
      if (!references.at(k).empty()) segment.references.push_back(references[k]);
    corpus.push_back(std::move(segment));
  }
  return corpus;
}

ScoreReport meteor_of_e2e(const std::filesystem::path& outputs) {
  const auto corpus = read_score_files(
      {outputs.string(), {test::shared("golden/e2e/testset_w_refs.csv").string()}, {}});
  ScoreOptions options = score_preset("e2e", data().string());
  std::erase_if(options.metrics, [](const ScoredMetric& m) { return m.name != "meteor"; });
  options.segments = true;
  return score_texts(corpus.segments, options);
}

void write_gzip(const std::filesystem::path& file, const std::string& text) {
  gzFile out = gzopen(file.c_str(), "wb");
  REQUIRE(gzwrite(out, text.data(), static_cast<unsigned>(text.size())) ==
          static_cast<int>(text.size()));
  REQUIRE(gzclose(out) == Z_OK);
}

std::string error_of(const std::filesystem::path& table) {
  try {
    MeteorParaphrases(table, {{"a", 0}});
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("METEOR of the WebNLG challenge's systems is their log's, every segment of it",
          "[metrics]") {
  if (!test::available(data()) || !test::available(test::shared("golden/webnlg2017"))) return;
  for (const std::string system : {"UIT-DANGNT-CLNLP", "UPF-TALN"}) {
    for (const std::string track : {"all", "old", "new"}) {
      CAPTURE(system, track);
      const auto corpus = webnlg(system, track);
      const Log log = read_log(system, track);
      REQUIRE(corpus.size() == log.segments.size());
      ScoreOptions options;
      options.metrics = {{"meteor", "meteor", {{"data", data().string()}}}};
      options.segments = true;
      const MetricScore meteor = score_texts(corpus, options).metrics.at(0);
      CHECK(meteor.note.empty());
      CHECK(meteor.segments == log.segments);
      CHECK(meteor.score == log.score);
    }
  }
}

TEST_CASE("the E2E challenge's baseline has its published METEOR, two systems that of each output",
          "[metrics]") {
  if (!test::available(data()) || !test::available(test::shared("golden/e2e"))) return;
  const auto folder = test::shared("golden/e2e");
  CHECK(fmt::format("{:.4f}", meteor_of_e2e(folder / "primary/tgen.tsv").metrics[0].score) ==
        "0.4483");
  for (const char* name : {"Primary-Sys1.segscores.tsv", "Sys1-Model1.segscores.tsv"}) {
    const auto rows = lines_of(folder / "segment_scores" / name);
    std::string outputs = "mr\toutput\n";
    std::vector<std::string> official;
    for (size_t i = 1; i < rows.size(); ++i) {
      std::vector<std::string> cells;
      std::istringstream in(rows[i]);
      for (std::string cell; std::getline(in, cell, '\t');) cells.push_back(cell);
      outputs += cells.at(0) + "\t" + cells.at(1) + "\n";
      official.push_back(cells.at(5));
    }
    REQUIRE(official.size() == 630);
    const test::TempDir temp;
    write_file(temp / "outputs.tsv", outputs);
    const ScoreReport report = meteor_of_e2e(temp / "outputs.tsv");
    std::vector<std::string> ours;
    for (const double score : report.metrics[0].segments)
      ours.push_back(fmt::format("{:.4f}", score));
    CAPTURE(name);
    CHECK(ours == official);
  }
}

TEST_CASE("METEOR of a segment is the jar's with paraphrases", "[metrics]") {
  if (!test::available(data())) return;
  const Json all = Json::parse(read_file(test::source_root() / "tests/cases/metrics/meteor.json"));
  std::vector<TextSegment> corpus;
  for (const Json& one : all.at("segments"))
    corpus.push_back({.hypothesis = one.at("hypothesis"), .references = one.at("references")});
  const auto scorer = text_metric("meteor").start({{"data", data().string()}}, corpus);
  size_t changed = 0;
  for (size_t i = 0; i < corpus.size(); ++i) {
    const Json& scores = all.at("segments").at(i).at("scores");
    CAPTURE(corpus[i].hypothesis);
    CHECK(scorer->score(scorer->statistics(i), 1) ==
          scores.at("full with paraphrases").get<double>());
    changed += scores.at("full with paraphrases") != scores.at("full") ? 1 : 0;
  }
  CHECK(changed >= 3);  // so that the paraphrases were put to the test
}

TEST_CASE("METEOR's paraphrase table is kept for the words at hand, in its order", "[metrics]") {
  const test::TempDir temp;
  write_gzip(temp / "table.gz",
             "0.5\na b\nc\n0.25\na\nb c\n0.1\na b\nd\n0.1\na b\nunknown\n1\nunknown a\nc\n");
  const MeteorParaphrases table(temp / "table.gz", {{"a", 0}, {"b", 1}, {"c", 2}, {"d", 3}});
  CHECK(table.size() == 3);
  const std::vector<int> text = {2, 0, 1};
  std::vector<std::pair<size_t, std::vector<int>>> found;
  table.each(text, 1, [&](size_t words, std::span<const int> phrase) {
    found.emplace_back(words, std::vector<int>(phrase.begin(), phrase.end()));
  });
  CHECK(found == std::vector<std::pair<size_t, std::vector<int>>>{{1, {1, 2}}, {2, {2}}, {2, {3}}});
  table.each(text, 0, [](size_t, std::span<const int>) { FAIL("c begins no phrase"); });
}

TEST_CASE("a paraphrase table that is none is refused in words", "[metrics]") {
  const test::TempDir temp;
  write_gzip(temp / "cut.gz", "0.5\na\nb\n0.5\na\n");
  CHECK_THAT(error_of(temp / "cut.gz"), Catch::Contains("in the middle of its pair 2"));
  write_gzip(temp / "empty.gz", "");
  CHECK_THAT(error_of(temp / "empty.gz"), Catch::Contains("in the middle of its pair 1"));
  write_gzip(temp / "shifted.gz", "0.5\na\nb\nc\n0.5\na\n");
  CHECK_THAT(error_of(temp / "shifted.gz"), Catch::Contains("shifted.gz:4: a probability"));
  write_file(temp / "text.gz", "0.5\na\nb\n");
  CHECK_THAT(error_of(temp / "text.gz"), Catch::Contains("not a gzip file"));
  std::string half = read_file(temp / "shifted.gz");
  write_file(temp / "half.gz", half.substr(0, half.size() / 2));
  CHECK_THAT(error_of(temp / "half.gz"), Catch::Contains("half.gz: cannot be decompressed"));
  CHECK_THAT(error_of(temp / "absent.gz"), Catch::Contains("cannot open"));
}

}  // namespace mtlora
