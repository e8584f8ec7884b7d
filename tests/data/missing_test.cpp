// What a person reads when files are not where a task looks for them.

#include <catch2/catch.hpp>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

TEST_CASE("a missing folder is named with what to download", "[data]") {
  const auto task = task_over("sst2", "no/such/folder");
  CHECK(error_of([&] { task->load("train"); }) ==
        "no/such/folder: there is no such folder. Unpack SST-2.zip of the GLUE benchmark "
        "(https://dl.fbaipublicfiles.com/glue/data/SST-2.zip) and name the folder of its files "
        "with task.data.");
}

TEST_CASE("a missing file is named with what was looked for and what is there", "[data]") {
  const TempDir folder;
  write_file(folder / "train_part.tsv", "x\n");
  const auto task = task_over("qqp", folder.path());
  CHECK(error_of([&] { task->load("dev"); }) ==
        folder.path().string() +
            ": there is no file of the dev split: looked for dev.tsv, dev.csv, dev.jsonl, "
            "validation.tsv, validation.csv, validation.jsonl; the folder holds train_part.tsv. "
            "Unpack QQP-clean.zip of the GLUE benchmark "
            "(https://dl.fbaipublicfiles.com/glue/data/QQP-clean.zip) and name the folder of its "
            "files with task.data. A file of another name is named with task.dev.");
}

TEST_CASE("a split that is not known is named with those that are", "[data]") {
  CHECK(error_of([] { task_over("cola", samples("cola"))->load("valid"); }) ==
        "unknown split \"valid\"; known: train, dev, test");
}

TEST_CASE("two files of one split are an error, until one is named", "[data]") {
  const TempDir folder;
  write_file(folder / "dev.tsv", "sentence\tlabel\na\t1\n");
  write_file(folder / "dev.jsonl", "{\"sentence\": \"b\", \"label\": 0}\n");
  CHECK(error_of([&] { task_over("sst2", folder.path())->load("dev"); }) ==
        folder.path().string() +
            ": more than one file of the dev split: dev.tsv, dev.jsonl; name one with task.dev");
  const auto task = task_over("sst2", folder.path(), {{"dev", "dev.jsonl"}});
  CHECK(task->load("dev").examples.at(0).text == "b");
  // MNLI's mismatched sets have no option
  for (const char* name : {"dev_mismatched.csv", "dev_mismatched.tsv"})
    write_file(folder / name, "premise,hypothesis,label\na,b,0\n");
  CHECK(error_of([&] { task_over("mnli", folder.path())->load("dev_mismatched"); }) ==
        folder.path().string() +
            ": more than one file of the dev_mismatched split: dev_mismatched.tsv, "
            "dev_mismatched.csv; leave one");
}

TEST_CASE("a file that is named must be there, one that is not named may be absent", "[data]") {
  const TempDir folder;
  const std::string at = folder.path().string();
  write_file(folder / "train.tsv", "sentence\tlabel\na\t1\n");
  using Names = std::vector<std::string>;
  CHECK(task_over("sst2", folder.path())->splits() == Names{"train"});
  CHECK(task_over("sst2", folder.path(), {{"train", "train.tsv"}})->splits() == Names{"train"});
  for (const std::string option : {"dev", "test"}) {
    const auto task = task_over("sst2", folder.path(), {{option, "other.tsv"}});
    const std::string wanted =
        "/task/" + option + ": there is no file " + at + "/other.tsv; the folder holds train.tsv";
    CHECK(error_of([&] { task->splits(); }) == wanted);
    CHECK(error_of([&] { task->load(option); }) == wanted);
    CHECK(task->load("train").examples.size() == 1);
    const auto text =
        task_over("text", folder.path(),
                  {{option, "other.tsv"}, {"text", "sentence"}, {"labels", {"0", "1"}}});
    CHECK(error_of([&] { text->splits(); }) == wanted);
  }
  CHECK(error_of([&] {
          task_over("sst2", folder.path(), {{"dev", "parts/dev.tsv"}})->splits();
        }) ==
        "/task/dev: there is no file " + at + "/parts/dev.tsv; its folder is not there either");
  CHECK(error_of([&] {
          task_over("text", folder.path(), {{"train", "other.tsv"}});
        }) == "/task/train: there is no file " + at + "/other.tsv; the folder holds train.tsv");
}

TEST_CASE("the named dev file of MNLI is the matched one; the other may be absent", "[data]") {
  const TempDir folder;
  write_file(folder / "mine.jsonl", "{\"premise\": \"a\", \"hypothesis\": \"b\", \"label\": 0}\n");
  const auto task = task_over("mnli", folder.path(), {{"dev", "mine.jsonl"}});
  CHECK(task->splits() == std::vector<std::string>{"dev_matched"});
  CHECK_THAT(error_of([&] {
               task_over("mnli", folder.path(), {{"dev", "mine.json"}})->splits();
             }),
             StartsWith("/task/dev: there is no file "));
}

TEST_CASE("a header that fits no layout is shown with those that would", "[data]") {
  const TempDir folder;
  write_file(folder / "train.tsv", "id\tsentence1\tsentence2\tgold\n0\ta\tb\tentailment\n");
  CHECK(error_of([&] { task_over("rte", folder.path())->load("train"); }) ==
        (folder / "train.tsv").string() +
            ":1: not a header of rte that is known: id | sentence1 | sentence2 | gold\n"
            "expected one of\n"
            "  index | sentence1 | sentence2 | label\n"
            "  index | sentence1 | sentence2\n"
            "  sentence1 | sentence2 | label | idx (quoted like CSV; idx may be absent)");
  write_file(folder / "train.tsv", "acceptable\tsentence\n1\ta\n");
  CHECK_THAT(error_of([&] { task_over("cola", folder.path())->load("train"); }),
             Contains("acceptable | sentence\n") &&
                 Contains("\n  no header, but source | label | mark | sentence"));
}

TEST_CASE("a training file without labels is an error, not a data set", "[data]") {
  const TempDir folder;
  write_file(folder / "train.tsv", "index\tsentence\n0\ta\n");
  CHECK(error_of([&] { task_over("sst2", folder.path())->load("train"); }) ==
        (folder / "train.tsv").string() +
            ": there is no column \"label\"; the columns are: index, sentence");
}

TEST_CASE("an empty file is an error", "[data]") {
  const TempDir folder;
  const std::string file = (folder / "train.tsv").string();
  write_file(file, "");
  CHECK(error_of([&] { task_over("sst2", folder.path())->load("train"); }) == file + ": is empty");
  write_file(file, "\xEF\xBB\xBF\r\n");
  CHECK(error_of([&] { task_over("sst2", folder.path())->load("train"); }) == file + ": is empty");
  write_file(file, "sentence\tlabel\n");
  CHECK(error_of([&] { task_over("sst2", folder.path())->load("train"); }) ==
        file + ": there is no example in it");
}

TEST_CASE("a file in UTF-16 is named as such", "[data]") {
  const TempDir folder;
  write_file(folder / "train.tsv", std::string("\xFF\xFEs\0e\0", 6));
  CHECK_THAT(error_of([&] { task_over("sst2", folder.path())->load("train"); }),
             Contains("is UTF-16; save it as UTF-8"));
}
