#include "lib/data/input_lines.h"

#include <catch2/catch.hpp>
#include <sstream>
#include <vector>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Lines = std::vector<std::string>;

namespace {

Lines lines(const std::string& content) {
  std::istringstream in(content);
  InputLines input(in, "f");
  Lines all;
  for (std::string line; input.next(line);) {
    all.push_back(line);
    CHECK(input.where() == "f:" + std::to_string(all.size()));
  }
  return all;
}

}  // namespace

TEST_CASE("input is read line by line, blank lines too", "[data]") {
  CHECK(lines("a\r\n\nb") == Lines{"a", "", "b"});
  CHECK(lines("a\n") == Lines{"a"});
  CHECK(lines("\n") == Lines{""});
  CHECK(lines("") == Lines{});
}

TEST_CASE("a byte-order mark is skipped at the beginning of the input only", "[data]") {
  const std::string mark = "\xEF\xBB\xBF";
  CHECK(lines(mark + "a\r\n" + mark + "b\n") == Lines{"a", mark + "b"});
  CHECK(lines(mark + mark + "a") == Lines{mark + "a"});
  CHECK(lines("a\n" + mark + "b") == Lines{"a", mark + "b"});
  CHECK(lines(mark + "\n") == Lines{""});
  CHECK(lines(mark) == Lines{});
}

TEST_CASE("input whose lines end in CR alone is no one line", "[data]") {
  CHECK(error_of([] { lines("a\rb\r"); }) ==
        "f: its lines end in CR; save it with LF or CRLF line ends");
  CHECK(lines("a\r") == Lines{"a"});
  CHECK(lines("a\rb\nc") == Lines{"a\rb", "c"});
}

TEST_CASE("input that is not UTF-8 is refused", "[data]") {
  CHECK(error_of([] { lines("a\n\xC3(\n"); }) == "f:2: is not valid UTF-8");
  CHECK(error_of([] { lines("\xFF\xFEx"); }) == "f: is UTF-16; save it as UTF-8");
  std::istringstream in("a");
  in.setstate(std::ios::badbit);
  std::string line;
  CHECK(error_of([&] { InputLines(in, "f").next(line); }) == "f: cannot be read");
}
