// Tables: quoting, line ends, line numbers.

#include "lib/data/table.h"

#include <catch2/catch.hpp>
#include <ctime>

using namespace mtlora;

namespace {

using Rows = std::vector<std::pair<size_t, std::vector<std::string>>>;

Rows rows(std::string_view content, char separator = ',', Quoting quoting = Quoting::csv) {
  TableReader reader(content, separator, quoting);
  Rows all;
  for (Row row; reader.next(row);) {
    CHECK(row.problem == "");
    all.emplace_back(row.line, row.cells);
  }
  return all;
}

}  // namespace

TEST_CASE("cells are split at separators, rows at LF or CRLF", "[data]") {
  CHECK(rows("a,b\nc,d\n") == Rows{{1, {"a", "b"}}, {2, {"c", "d"}}});
  CHECK(rows("a,b\r\nc,d") == Rows{{1, {"a", "b"}}, {2, {"c", "d"}}});
  CHECK(rows("a\tb\r\nc\td\r\n", '\t', Quoting::none) == Rows{{1, {"a", "b"}}, {2, {"c", "d"}}});
}

TEST_CASE("empty cells are cells", "[data]") {
  CHECK(rows(",\n,,") == Rows{{1, {"", ""}}, {2, {"", "", ""}}});
  CHECK(rows("\"\",\"\"") == Rows{{1, {"", ""}}});
  CHECK(rows("\t\n\t\t", '\t', Quoting::none) == Rows{{1, {"", ""}}, {2, {"", "", ""}}});
  CHECK(rows("a,\r\n,b") == Rows{{1, {"a", ""}}, {2, {"", "b"}}});
}

TEST_CASE("blank lines count within a table, not at its end", "[data]") {
  CHECK(rows("a\n\nb\n\r\n\n") == Rows{{1, {"a"}}, {2, {""}}, {3, {"b"}}});
  CHECK(rows("").empty());
  CHECK(rows("\r\n\n").empty());
}

TEST_CASE("a quoted cell holds separators, doubled quotes and line ends", "[data]") {
  CHECK(rows("\"a,b\",\"say \"\"c\"\"\"\n\"d\ne\r\nf\",g\nh,\"i\"\r\n") ==
        Rows{{1, {"a,b", "say \"c\""}}, {2, {"d\ne\r\nf", "g"}}, {5, {"h", "i"}}});
  CHECK(rows("\"\"\"\"") == Rows{{1, {"\""}}});
  CHECK(rows("\"a\n\"\n\n") == Rows{{1, {"a\n"}}});
}

TEST_CASE("a quoted cell may have to end on its line", "[data]") {
  const auto read = [](std::string_view content) { return rows(content, '\t', Quoting::csv_line); };
  CHECK(read("\"a\tb\"\t\"say \"\"c\"\"\"\r\n\"d\"\te\nf\t\"\"\r\n") ==
        Rows{{1, {"a\tb", "say \"c\""}}, {2, {"d", "e"}}, {3, {"f", ""}}});
  TableReader reader("\"a\tb\nc\td\n\"e\"\tf\r\ng\t\"\"\"\nh\t\"i", '\t', Quoting::csv_line);
  const std::string open = "a quote is opened and not closed on its line";
  std::vector<std::string> problems;
  for (Row row; reader.next(row);) {
    problems.push_back(row.problem);
    CHECK(row.line == problems.size());
    CHECK(row.cells.size() == (row.problem.empty() ? 2 : 0));
  }
  CHECK(problems == std::vector<std::string>{open, "", "", open, open});
}

TEST_CASE("a quote within an unquoted cell is text", "[data]") {
  CHECK(rows("5\" disk,a \"b\" c") == Rows{{1, {"5\" disk", "a \"b\" c"}}});
  CHECK(rows("\"a\",\"b", ',', Quoting::none) == Rows{{1, {"\"a\"", "\"b"}}});
}

TEST_CASE("after a row that cannot be split, reading goes on at the next line", "[data]") {
  TableReader reader("\"a\nb\n\"c\" d,e\nf", ',', Quoting::csv);
  Row row;
  std::vector<std::string> problems;
  std::vector<size_t> lines;
  while (reader.next(row)) {
    problems.push_back(row.problem);
    lines.push_back(row.line);
  }
  CHECK(lines == std::vector<size_t>{1, 2, 3, 4});
  const std::string behind = "text stands behind a closing quote";
  CHECK(problems == std::vector<std::string>{behind, "", behind, ""});
}

TEST_CASE("rows that each open a quote up to the end of the table are read in one go", "[data]") {
  constexpr size_t lines = 100'000;
  std::string content;
  for (size_t i = 0; i < lines; ++i) content += "He said a\",\"b\n";
  const auto [end, want] =
      GENERATE(table<std::string, std::string>({{"", "a quote is opened and never closed"},
                                                {"c\"d", "text stands behind a closing quote"}}));
  content += end;
  TableReader reader(content, ',', Quoting::csv);
  const std::clock_t begin = std::clock();
  size_t rows = 0;
  for (Row row; rows < lines && reader.next(row) && row.problem == want;) ++rows;
  CHECK(rows == lines);
  // Less than 0.1 s; 45 s where each row is read up to the end.
  CHECK((std::clock() - begin) / CLOCKS_PER_SEC < 15);
}

TEST_CASE("a row may close a quote where the one before it could not", "[data]") {
  // From line 1 on the quotes of lines 2 and 3 are taken the other way round than from line 2 on.
  TableReader reader("x,\"a\ny,\"b\",c\nz,\"d\",\"e\n", ',', Quoting::csv);
  std::vector<std::string> problems;
  Rows read;
  for (Row row; reader.next(row);) {
    problems.push_back(row.problem);
    if (row.problem.empty()) read.emplace_back(row.line, row.cells);
  }
  CHECK(problems == std::vector<std::string>{"text stands behind a closing quote", "",
                                             "a quote is opened and never closed"});
  CHECK(read == Rows{{2, {"y", "b", "c"}}});
}
