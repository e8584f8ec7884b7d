// Malformed rows are reported together, with file and line.

#include <catch2/catch.hpp>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

std::string heading(const std::string& of, int allowed, const std::string& set) {
  return "F: " + of + " rows malformed, " + std::to_string(allowed) +
         " allowed (to leave them out, set task.max_malformed to " + set + "):\n";
}

}  // namespace

TEST_CASE("rows with a wrong number of columns or a label outside the set are malformed",
          "[data]") {
  CHECK(
      report("sst2", "train.tsv", "sentence\tlabel\ngood\t1\nonly\na\tb\t0\nbad\t2\n\nfine\t0\n") ==
      heading("4 of 6", 0, "4") +
          "F:3: 1 column instead of 2\n"
          "F:4: 3 columns instead of 2\n"
          "F:5: the label \"2\" is none of: 0, 1\n"
          "F:6: 1 column instead of 2");
  CHECK(report("rte", "train.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t0\n") ==
        heading("1 of 1", 0, "1") + "F:2: the label \"0\" is none of: entailment, not_entailment");
  CHECK(report("rte", "train.tsv", "sentence1\tsentence2\tlabel\tidx\na\tb\t-1\t0\n") ==
        heading("1 of 1", 0, "1") + "F:2: there is no label (\"-1\")");
}

TEST_CASE("scores that are no number or out of range are malformed", "[data]") {
  CHECK(report("stsb", "train.csv",
               "sentence1,sentence2,label\na,b,5\na,b,5.1\na,b,-0.5\na,b,high\na,b,\na,b,nan\na,b,"
               "3x\na,b,+4.5\na,b,+-1\n") == heading("7 of 9", 0, "7") +
                                                 "F:3: the label 5.1 is not between 0 and 5\n"
                                                 "F:4: the label -0.5 is not between 0 and 5\n"
                                                 "F:5: the label \"high\" is not a number\n"
                                                 "F:6: the label \"\" is not a number\n"
                                                 "F:7: the label \"nan\" is not a number\n"
                                                 "F:8: the label \"3x\" is not a number\n"
                                                 "F:10: the label \"+-1\" is not a number");
  // as Hugging Face's data have it where there is no label
  CHECK_THAT(report("stsb", "train.csv", "sentence1,sentence2,label\na,b,-1.0\n"),
             Contains("F:2: there is no label (\"-1.0\")"));
}

TEST_CASE("bytes that are not UTF-8 are malformed, in their row only", "[data]") {
  CHECK(report("sst2", "train.tsv", "sentence\tlabel\nfür\t1\nf\xFCr\t1\n") ==
        heading("1 of 2", 0, "1") + "F:3: the text is not UTF-8 from its byte 2 on");
  CHECK(report("qnli", "train.tsv",
               "index\tquestion\tsentence\tlabel\n0\ta\t\xC0\x80\tentailment\n") ==
        heading("1 of 1", 0, "1") + "F:2: the second text is not UTF-8 from its byte 1 on");
}

TEST_CASE("quotes that do not pair spoil their own row only", "[data]") {
  CHECK(report("sst2", "train.csv",
               "sentence,label\n\"two\nlines\",1\n\"open,1\nnext,0\n\"a\" b,1\nlast,0\n") ==
        heading("2 of 5", 0, "2") +
            "F:4: text stands behind a closing quote\n"
            "F:6: text stands behind a closing quote");
  CHECK(report("sst2", "train.csv", "sentence,label\na,1\n\"open,1\nlast,0\n") ==
        heading("1 of 3", 0, "1") + "F:3: a quote is opened and never closed");
}

TEST_CASE("JSON lines that hold no example are malformed", "[data]") {
  CHECK(report("sst2", "train.jsonl",
               "{\"sentence\": \"a\", \"label\": 1}\n"
               "\n"
               "[1]\n"
               "{\"text\": \"a\", \"label\": 1}\n"
               "{\"sentence\": 5, \"label\": 1}\n"
               "{\"sentence\": \"a\", \"label\": true}\n"
               "{\"sentence\": \"a\", \"label\": null}\n"
               "{\"sentence\": \"a\", \"sentence\": \"b\", \"label\": 1}\n") ==
        heading("7 of 8", 0, "7") +
            "F:2: the line is blank\n"
            "F:3: is not a JSON object\n"
            "F:4: there is no key \"sentence\"; the keys are: text, label\n"
            "F:5: \"sentence\" is not a string: 5\n"
            "F:6: \"label\" is neither a string nor a number: true\n"
            "F:7: there is no label\n"
            "F:8: the key \"sentence\" stands twice in one object");
  CHECK_THAT(report("sst2", "train.jsonl", "{\"sentence\": \"a\", \"label\": 1}\n{\"sentence\n"),
             Contains("F:2: not valid JSON: "));
}

TEST_CASE("a value that is no text is shown by its beginning", "[data]") {
  CHECK(report("sst2", "train.jsonl",
               "{\"sentence\": [" + std::string(400, '[') + std::string(400, ']') +
                   "], \"label\": 1}\n") ==
        heading("1 of 1", 0, "1") + "F:1: \"sentence\" is not a string: " + std::string(60, '[') +
            "…");
  CHECK_THAT(report("sst2", "train.jsonl", "{\"sentence\": " + std::string(99'999, '[') + "\n"),
             Contains("F:1: not valid JSON: more than 500 arrays"));
}

TEST_CASE("a number that no number of the program can hold is malformed", "[data]") {
  CHECK(report("stsb", "train.jsonl",
               "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1e999}\n") ==
        heading("1 of 1", 0, "1") + "F:1: not valid JSON: number overflow parsing '1e999'");
}

TEST_CASE("a line of JSON that holds a NUL byte is malformed, not cut there", "[data]") {
  using namespace std::string_literals;
  CHECK(report("sst2", "train.jsonl",
               "{\"sentence\": \"a\", \"label\": 1}\0, more\n"
               "{\"sentence\": \"b\", \"label\": 0}\n"
               "\0\n"
               "{\"sentence\": \"c\", \"label\": 0}\0"s) ==
        heading("3 of 4", 0, "3") +
            "F:1: the line holds a NUL byte, its byte 30\n"
            "F:3: the line holds a NUL byte, its byte 1\n"
            "F:4: the line holds a NUL byte, its byte 30");
}

TEST_CASE("as many malformed rows as allowed are left out and told", "[data]") {
  const TempDir folder;
  const std::string file = (folder / "train.tsv").string();
  write_file(file, "sentence\tlabel\na\t1\nb\n\t0\n");
  const auto load = [&](int allowed) {
    return task_over("sst2", folder.path(), {{"max_malformed", allowed}})->load("train");
  };
  const Dataset data = load(1);
  CHECK(data.examples.size() == 2);
  CHECK(data.malformed == 1);
  CHECK(data.malformed_rows == file + ":3: 1 column instead of 2");
  CHECK(data.empty_texts == 1);
  CHECK_THROWS_AS(load(0), Error);
}

TEST_CASE("the first twenty malformed rows are shown, the rest is counted", "[data]") {
  std::string content = "sentence\tlabel\na\t1\n";
  for (int i = 0; i < 50; ++i) content += "row\n";
  const std::string message = report("sst2", "train.tsv", content);
  CHECK_THAT(message,
             Contains("F:22: 1 column") && !Contains("F:23:") && Contains("\n… and 30 more"));
}
