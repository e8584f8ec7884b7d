// Data of one's own, on the samples of data/samples.

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Names = std::vector<std::string>;

TEST_CASE("CSV with byte-order mark, CRLF and quoted line ends is read", "[data]") {
  const auto task = task_over("text", samples("text_csv"));
  CHECK(task->info().labels == Names{"billing", "delivery", "product"});
  CHECK(task->info().metrics == Names{"accuracy"});
  CHECK_FALSE(task->info().has_pair);
  const Dataset train = task->load("train");
  REQUIRE(train.examples.size() == 9);
  CHECK(train.examples[0].text == "Where is my parcel? It was due \"on Monday\".");
  CHECK(train.examples[1].text == "The invoice shows the wrong address,\r\nand the wrong sum.");
  CHECK(label_counts(train) == std::map<double, int>{{0, 3}, {1, 3}, {2, 3}});
  CHECK(task->load("dev").examples.size() == 3);
}

TEST_CASE("a test file may be without labels", "[data]") {
  const Dataset csv = task_over("text", samples("text_csv"))->load("test");
  REQUIRE(csv.examples.size() == 3);
  CHECK_FALSE(csv.labelled());
  CHECK(csv.empty_texts == 1);
  CHECK(csv.examples[2].text == "A \"second\" charge.");
  const Dataset json =
      task_over("text", samples("text_jsonl"), {{"text", "sentence"}, {"label", "language"}})
          ->load("test");
  REQUIRE(json.examples.size() == 2);
  CHECK(std::isnan(json.examples[1].label));
}

TEST_CASE("a regression of pairs in TSV is read", "[data]") {
  const auto task = task_over("text", samples("text_tsv"),
                              {{"text", "question"},
                               {"text_pair", "answer"},
                               {"label", "score"},
                               {"kind", "regression"},
                               {"low", -1},
                               {"high", 1}});
  CHECK(task->info().kind == TaskKind::regression);
  CHECK(task->info().outputs() == 1);
  CHECK(task->info().main_metric == "pearson_spearman");
  const Dataset train = task->load("train");
  REQUIRE(train.examples.size() == 8);
  CHECK(train.examples[2].text_pair == "\"Nobody,\" she said.");
  CHECK(train.examples[5].label == -0.25);
}

TEST_CASE("JSON lines are read, the classes in the order that was given", "[data]") {
  Json options = {{"text", "sentence"}, {"label", "language"}};
  CHECK(task_over("text", samples("text_jsonl"), options)->info().labels ==
        Names{"de", "en", "fr", "it"});
  options["labels"] = {"it", "fr", "en", "de"};
  const auto task = task_over("text", samples("text_jsonl"), options);
  CHECK(task->info().outputs() == 4);
  CHECK(task->load("dev").examples.at(0).label == 3);
}

TEST_CASE("labels that are numbers are ordered by value, before all others", "[data]") {
  const TempDir folder;
  write_file(folder / "train.csv", "text,label\na,10\nb,9\nc,x\nd,-1\ne,X\nf,9\n");
  CHECK(task_over("text", folder.path())->info().labels == Names{"-1", "9", "10", "X", "x"});
  write_file(folder / "train.csv", "text,label\na,10.0\nb,2.0\nc,1.0\nd,1\ne,nan\n");
  CHECK(task_over("text", folder.path())->info().labels == Names{"1", "1.0", "2.0", "10.0", "nan"});
}

TEST_CASE("raw TSV takes quotes as they are", "[data]") {
  const TempDir folder;
  write_file(folder / "mine.txt", "label\ttext\nno\t\"a\nyes\tb \"c\" d\n");
  const Json options = {{"train", "mine.txt"}, {"format", "tsv_raw"}};
  const Dataset data = task_over("text", folder.path(), options)->load("train");
  REQUIRE(data.examples.size() == 2);
  CHECK(data.examples[0].text == "\"a");
  CHECK(data.examples[1].text == "b \"c\" d");
  CHECK(error_of([&] {
          task_over("text", folder.path(), {{"train", "mine.txt"}});
        }) == (folder / "mine.txt").string() +
                  ": does not end in .csv, .tsv or .jsonl; name its format with task.format");
}

TEST_CASE("a lone quote in a TSV file costs no row without a word", "[data]") {
  const TempDir folder;
  const std::string tsv = (folder / "train.tsv").string();
  write_file(tsv,
             "text\tlabel\ngood\tyes\n\"Fine, he said\tno\nbad\tno\n\"and so\" on\tyes\nx\"\tno\n");
  const auto load = [&](const std::string& file, Json options) {
    options["train"] = file;
    options["labels"] = {"no", "yes"};
    return task_over("text", folder.path(), options)->load("train");
  };
  const std::string advice =
      "; where quotes are text, set task.format to tsv_raw, or put the cell in quotes and double "
      "those in it; where cells have several lines, set it to tsv";
  const std::string wanted = "F:3: a quote is opened and not closed on its line" + advice +
                             "\nF:5: text stands behind a closing quote" + advice;
  CHECK(with_f(error_of([&] { load(tsv, Json::object()); }), tsv) ==
        "F: 2 of 5 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 2):\n" +
            wanted);
  const Dataset left = load(tsv, {{"max_malformed", 2}});
  CHECK(left.examples.size() == 3);
  CHECK(with_f(left.malformed_rows, tsv) == wanted);
  CHECK(load(tsv, {{"format", "tsv_raw"}}).examples.size() == 5);
  write_file(folder / "header.tsv", "\"text\tlabel\ngood\tyes\n");
  CHECK(with_f(error_of([&] { load("header.tsv", Json::object()); }),
               (folder / "header.tsv").string()) ==
        "F:1: a quote is opened and not closed on its line" + advice);
}

TEST_CASE("cells of several lines are read in CSV, and in TSV where its format is named",
          "[data]") {
  const TempDir folder;
  write_file(folder / "train.tsv", "text\tlabel\n\"two\nlines\"\tno\nlast\tyes\n");
  write_file(folder / "train.csv", "text,label\n\"two\nlines\",no\nlast,yes\n");
  for (const Json& options : {Json{{"train", "train.csv"}}, Json{{"format", "tsv"}}}) {
    const Dataset data = task_over("text", folder.path(), options)->load("train");
    REQUIRE(data.examples.size() == 2);
    CHECK(data.examples[0].text == "two\nlines");
  }
  CHECK(with_f(error_of([&] {
                 task_over("text", folder.path(), {{"train", "train.tsv"}})->load("train");
               }),
               (folder / "train.tsv").string())
            .starts_with("F: 1 of 3 rows malformed"));
}

TEST_CASE("a column that is not there is named with those that are", "[data]") {
  const std::string file = (samples("text_csv") / "train.csv").string();
  CHECK(error_of([&] {
          task_over("text", samples("text_csv"), {{"text", "body"}});
        }) == file + ": there is no column \"body\"; the columns are: text, label");
  const TempDir folder;
  write_file(folder / "train.csv", "text,label,text\na,b,c\n");
  CHECK(error_of([&] { task_over("text", folder.path()); }) ==
        (folder / "train.csv").string() +
            ": the column \"text\" stands twice; the columns are: text, label, text");
}

TEST_CASE("rows that keep the classes from being found are reported, not the count of classes",
          "[data]") {
  const TempDir folder;
  const std::string file = (folder / "train.jsonl").string();
  write_file(file, "{\"text\": \"a\", \"label\": true}\n{\"text\": \"b\", \"label\": false}\n");
  const auto error = [&](const Json& options) {
    return with_f(error_of([&] { task_over("text", folder.path(), options)->load("train"); }),
                  file);
  };
  CHECK(error({}) == error({{"labels", {"no", "yes"}}}));
  CHECK(error({}) ==
        "F: 2 of 2 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 2):\n"
        "F:1: \"label\" is neither a string nor a number: true\n"
        "F:2: \"label\" is neither a string nor a number: false");
  CHECK(error({{"max_malformed", 2}}) ==
        "F: a classification needs two labels or more; there is: none");
  write_file(file, "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": null}\n");
  CHECK(error({}) ==
        "F: 1 of 2 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 1):\n"
        "F:2: there is no label");
}

TEST_CASE("a row that is left out adds no class", "[data]") {
  const TempDir folder;
  write_file(folder / "train.csv",
             "text,label\na,yes\nb,no\nc,b\xFC"
             "cher\nf\xFCr,maybe\nd,never,\n");
  const auto task = task_over("text", folder.path(), {{"max_malformed", 3}});
  CHECK(task->info().labels == Names{"no", "yes"});
  const Dataset data = task->load("train");
  CHECK(data.examples.size() == 2);
  CHECK(with_f(data.malformed_rows, (folder / "train.csv").string()) ==
        "F:4: the label is not UTF-8 from its byte 2 on\n"
        "F:5: the text is not UTF-8 from its byte 2 on\n"
        "F:6: 3 columns instead of 2");
}

TEST_CASE("options that contradict each other are errors", "[data]") {
  const auto error = [](const Json& options) {
    return error_of([&] { task_over("text", samples("text_csv"), options); });
  };
  CHECK(error({{"labels", {"a", "b", "a"}}}) == "/task/labels: a label stands twice: a, b, a");
  CHECK(error({{"labels", {"a"}}}) ==
        "/task/labels: a classification needs two labels or more; there is: a");
  CHECK(error({{"kind", "regression"}, {"labels", {"a", "b"}}}) ==
        "/task/labels: a regression has no classes");
  CHECK(error({{"kind", "regression"}, {"low", 1}, {"high", 1}}) ==
        "/task/low: 1 is not below task.high, 1");
  CHECK(error({{"high", 1}}) == "/task: low and high are a regression's, not a classification's");
  CHECK(error({{"main_metric", "f1"}}) ==
        "/task/main_metric: \"f1\" is not among task.metrics: accuracy");
  CHECK(error({{"kind", "ranking"}}).starts_with("/task/kind: "));
  CHECK(error({{"text", "label"}}) == "/task: text and label are both the column \"label\"");
  CHECK(error({{"text_pair", "text"}}) == "/task: text and text_pair are both the column \"text\"");
  CHECK(error({{"text_pair", "label"}}) ==
        "/task: text_pair and label are both the column \"label\"");
  CHECK(error_of([] {
          start_task({"text", Json::object()});
        }) == "/task/data: name the folder of the train, dev and test files");
}

TEST_CASE("without a training file the classes must be named", "[data]") {
  const TempDir folder;
  write_file(folder / "dev.csv", "text,label\na,yes\n");
  CHECK(error_of([&] { task_over("text", folder.path()); }) ==
        folder.path().string() +
            ": there is no training file (train.csv, train.tsv, train.jsonl), and /task/labels is "
            "empty, so the classes are not known: name the file with task.train, or of a model "
            "that has been trained the labels, in the order that it was trained with");
  const auto task = task_over("text", folder.path(), {{"labels", {"no", "yes"}}});
  CHECK(task->load("dev").examples.at(0).label == 1);
}
