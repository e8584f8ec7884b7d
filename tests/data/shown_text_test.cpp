#include "lib/data/shown_text.h"

#include <catch2/catch.hpp>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

std::string times(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("what a message shows of a file is one short line", "[data]") {
  CHECK(shown_text("für") == "für");
  CHECK(shown_text("a\r\nb\tc\x1b[2J\x7f\xC2\x9B") == "a\\r\\nb\\tc\\x1b[2J\\x7f\\xc2\\x9b");
  CHECK(shown_text("a\xFF\x80\xE2\x82") == "a\\xff\\x80\\xe2\\x82");
  CHECK(shown_text(times("ü", 60)) == times("ü", 60));
  CHECK(shown_text(times("ü", 61)) == times("ü", 60) + "…");
  CHECK(shown_list({"a", "b\n"}) == "a, b\\n");
  CHECK(shown_list(std::vector<std::string>(20, "a")) == times("a, ", 19) + "a");
  CHECK(shown_list(std::vector<std::string>(23, "a")) == times("a, ", 20) + "… and 3 more");
}

TEST_CASE("a file whose lines end in CR says so, and shows none of them", "[data]") {
  const std::string wanted = "F: its lines end in CR; save it with LF or CRLF line ends";
  CHECK(report("text", "train.csv", "text,label\r" + times("a film,good\r", 20'000)) == wanted);
  CHECK(report("text", "train.tsv", "text\tlabel\ra\tb") == wanted);
  CHECK(report("text", "train.jsonl", times("{\"text\": \"a\", \"label\": 1}\r", 2)) == wanted);
  CHECK(report("sst2", "train.tsv", "sentence\tlabel\ra\t1\r") == wanted);
  const TempDir folder;
  write_file(folder / "train.txt", "a||b\rc||d\r");
  CHECK_THAT(error_of([&] { text_task_over("e2e", folder.path())->load("train"); }),
             Contains("its lines end in CR"));
}

TEST_CASE("names and cells of a file are cut in messages", "[data]") {
  const std::string many = times("column,", 30) + times("x", 1000);
  CHECK(report("text", "train.csv", many + "\n1\n") ==
        "F: there is no column \"text\"; the columns are: " + times("column, ", 20) +
            "… and 11 more");
  CHECK_THAT(report("sst2", "train.csv", "id,text\x1b," + times("x", 100) + "\n1,2,3\n"),
             Contains("known: id | text\\x1b | " + times("x", 60) + "…\n"));
  CHECK_THAT(report("sst2", "train.tsv", "sentence\tlabel\na\t" + times("x", 100) + "\n"),
             Contains("the label \"" + times("x", 60) + "…\" is none of: 0, 1"));
}
