// Every GLUE task in every layout, on the samples of data/samples.

#include <catch2/catch.hpp>
#include <cmath>

#include "lib/metrics/metric.h"
#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

struct Sample {
  std::string task, folder, split;
  size_t examples;
  std::string text, text_pair;  // of the first example
  double first, second;         // labels of the first two
};

const double none = std::numeric_limits<double>::quiet_NaN();

bool same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

}  // namespace

TEST_CASE("every layout of every GLUE task is read", "[data]") {
  const std::string mill = "The mill has stood by the river since 1820.";
  const std::string firm = "The firm, founded in Bergen, sold its last ship in 1987.";
  const std::string salty = "How do I sharpen a kitchen knife?";
  const std::vector<Sample> all = {
      {"cola", "cola", "train", 12, "The gardener watered the roses before noon.", "", 1, 0},
      {"cola", "cola", "dev", 4, "The lamp that flickers is the old one.", "", 1, 0},
      {"cola", "cola", "test", 2, "The baker sings while he kneads.", "", none, none},
      {"sst2", "sst2", "train", 12, "a warm and quietly funny picture ", "", 1, 0},
      {"sst2", "sst2", "test", 2, "a large heart and quiet jokes .", "", none, none},
      {"mrpc", "mrpc", "train", 8, "The council approved the new bridge on Monday.",
       "On Monday the new bridge was approved by the council.", 1, 0},
      {"mrpc", "mrpc", "test", 2, "The museum opens at ten.", "At ten the museum opens.", none,
       none},
      {"stsb", "stsb", "train", 8, "A man peels an apple.", "A man is peeling an apple.", 5, 4.2},
      {"stsb", "stsb", "test", 2, "A man rows.", "A man is rowing a boat.", none, none},
      {"qqp", "qqp", "train", 8, salty, "What is the way to sharpen a knife at home?", 1, 0},
      {"qqp", "qqp", "dev", 2, "Can cats swim?", "Are cats able to swim?", 1, 0},
      {"qqp", "qqp", "test", 1, "Is glass a liquid?", "Does glass flow?", none, none},
      {"mnli", "mnli", "train", 9, mill, "The mill is old.", 0, 1},
      {"mnli", "mnli", "dev_matched", 3, "The kitchen was empty when she came home.",
       "There was no one in the kitchen.", 0, 1},
      {"mnli", "mnli", "dev_mismatched", 3, "Press both keys to restart the machine.",
       "The machine can be restarted.", 0, 1},
      {"mnli", "mnli", "test_matched", 1, "It rained all night.", "The ground is wet.", none, none},
      {"mnli", "mnli_hf", "train", 9, mill, "The mill is old.", 0, 1},
      {"mnli", "mnli_hf", "dev_matched", 3, "It rained all night.", "It rained.", 0, 1},
      {"qnli", "qnli", "train", 8, "Who built the first lighthouse of the island?",
       "The first lighthouse was built by two brothers in 1790.", 0, 1},
      {"qnli", "qnli", "test", 1, "Who tunes the organ?", "The organ is tuned twice a year.", none,
       none},
      {"rte", "rte", "train", 8, firm, "The firm owned ships.", 0, 1},
      {"rte", "rte", "test", 1, "Snow fell on the hills.", "It snowed.", none, none},
      {"rte", "rte_hf", "train", 8, firm, "The firm owned ships.", 0, 1},
      {"rte", "rte_hf", "dev", 2, "The bridge, closed since May, opened today.",
       "The bridge is \"open\".", 0, 1},
      {"rte", "rte_hf", "test", 1, "Snow fell on the hills.", "It snowed.", none, none},
      {"wnli", "wnli", "train", 8, "The cup did not fit in the box because it was too wide.",
       "The cup was too wide.", 1, 0},
      {"wnli", "wnli", "test", 1, "The nail bent because it was soft.", "The nail was soft.", none,
       none},
  };
  for (const Sample& s : all) {
    INFO(s.task << " " << s.folder << " " << s.split);
    const Dataset data = task_over(s.task, samples(s.folder))->load(s.split);
    CHECK(data.split == s.split);
    REQUIRE(data.examples.size() == s.examples);
    CHECK(data.examples[0].text == s.text);
    CHECK(data.examples[0].text_pair == s.text_pair);
    CHECK(same(data.examples[0].label, s.first));
    if (s.examples > 1) CHECK(same(data.examples[1].label, s.second));
    CHECK(data.labelled() == !std::isnan(s.first));
    CHECK(data.malformed == 0);
    CHECK(data.files.size() == 1);
    CHECK(data.hash.size() == 16);
  }
}

TEST_CASE("quotes of official files are text, quotes of Hugging Face's are quoting", "[data]") {
  const std::string said = "\"I wrote the song in an hour,\" said the singer.";
  CHECK(task_over("rte", samples("rte"))->load("train").examples[4].text == said);
  CHECK(task_over("rte", samples("rte_hf"))->load("train").examples[4].text == said);
  CHECK(task_over("mrpc", samples("mrpc"))->load("dev").examples[1].text ==
        "\"The ferry was late again.");
}

TEST_CASE("a lone quote in a .tsv of Hugging Face's columns costs no row without a word",
          "[data]") {
  const TempDir folder;
  const std::string rows =
      "idx\tsentence\tlabel\n0\tgood\t1\n1\t\"Fine, he said\t0\n2\tbad\t0\n3\tx\"\t0\n";
  write_file(folder / "train.tsv", rows);
  CHECK(with_f(error_of([&] { task_over("sst2", folder.path())->load("train"); }),
               (folder / "train.tsv").string()) ==
        "F: 1 of 4 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 1):\n"
        "F:3: a quote is opened and not closed on its line; in a .tsv with the columns of Hugging "
        "Face's data, put a cell that holds quotes in quotes and double those in it; cells of "
        "several lines need .csv or .jsonl");
}

TEST_CASE("a task lists the splits whose files are there", "[data]") {
  using Names = std::vector<std::string>;
  CHECK(task_over("cola", samples("cola"))->splits() == Names{"train", "dev", "test"});
  CHECK(task_over("mnli", samples("mnli"))->splits() ==
        Names{"train", "dev_matched", "dev_mismatched", "test_matched"});
  CHECK(task_over("mnli", samples("mnli_hf"))->splits() == Names{"train", "dev_matched"});
  CHECK(task_over("mnli", samples("nowhere"))->splits().empty());
}

TEST_CASE("dev is short for MNLI's matched dev set", "[data]") {
  const auto mnli = task_over("mnli", samples("mnli"));
  CHECK(mnli->load("dev").split == "dev_matched");
  CHECK(mnli->load("dev").hash == mnli->load("dev_matched").hash);
  CHECK(mnli->load("dev").hash != mnli->load("dev_mismatched").hash);
}

TEST_CASE("every task with labels has a sample of its training and dev split", "[data]") {
  int checked = 0;
  for (const TaskEntry& entry : tasks()) {
    INFO(entry.name);
    if (entry.start_text) continue;
    const auto task =
        task_over(entry.name, samples(entry.name == "text" ? "text_csv" : entry.name));
    const Dataset train = task->load("train"), dev = task->load("dev");
    CHECK((train.labelled() && dev.labelled()));
    CHECK(label_counts(train).size() >= task->info().labels.size());
    ++checked;
  }
  CHECK(checked == 10);
}

TEST_CASE("every task with labels names metrics that exist and fit it", "[data]") {
  int checked = 0;
  for (const TaskEntry& entry : tasks()) {
    if (entry.name == "text" || entry.start_text) continue;
    const auto task = entry.start(Json::object());
    const TaskInfo& info = task->info();
    INFO(info.name);
    CHECK(info.name == entry.name);
    CHECK_NOTHROW(check_metrics(info.metrics, info.labels.size()));
    CHECK(std::count(info.metrics.begin(), info.metrics.end(), info.main_metric) == 1);
    CHECK(info.outputs() == (info.kind == TaskKind::regression ? 1 : info.labels.size()));
    ++checked;
  }
  CHECK(checked == 9);
}

TEST_CASE("the main metric can be another of the task's", "[data]") {
  CHECK(task_over("mrpc", "x", {{"main_metric", "accuracy"}})->info().main_metric == "accuracy");
  CHECK(error_of([] {
          task_over("mrpc", "x", {{"main_metric", "matthews"}});
        }) ==
        "/task/main_metric: unknown metric of mrpc \"matthews\"; known: accuracy, f1, accuracy_f1");
}

TEST_CASE("an option that is not known is an error", "[data]") {
  CHECK(error_of([] {
          task_over("sst2", "x", {{"max_malformd", 1}});
        }) == "/task/max_malformd: unknown key \"max_malformd\"; did you mean \"max_malformed\"?");
  CHECK(error_of([] {
          start_task({"sst", Json::object()});
        }) == "/task/name: unknown task \"sst\"; did you mean \"sst2\"?");
}
