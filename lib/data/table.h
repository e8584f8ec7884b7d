// Tables in text: CSV as RFC 4180 has it (a cell may stand in quotes, a quote in it is doubled, and
// it may hold separators and line ends), or rows that are split at every separator.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mtlora {

/// csv_line: as csv, but a cell in quotes has to end on the line that it begins on.
enum class Quoting { csv, csv_line, none };

struct Row {
  size_t line = 0;  ///< of the row's begin, counted from 1
  std::vector<std::string> cells;
  std::string problem;  ///< why the row cannot be split; empty when it can
};

/// Reads a table row by row. Lines end with LF or CRLF; blank lines at the end do not count.
class TableReader {
 public:
  TableReader(std::string_view content, char separator, Quoting quoting);

  /// Reads the next row into `row`; false at the end. After a row with a problem, reading goes on
  /// at the next line: a quote that was never meant as one costs its own row only.
  bool next(Row& row);

 private:
  std::string_view take_line();
  void split_line(Row& row);
  void read_quoted(Row& row);
  void remember(const char* problem, const std::vector<size_t>& begins);

  std::string_view content_;
  char separator_;
  Quoting quoting_;
  size_t at_ = 0, line_ = 1;
  bool more_;
  std::unordered_map<size_t, const char*> problems_;  ///< of rows, by where their cells begin
};

/// The line that a row is of, read with a NUL byte for separator to have lines whole. Throws Error
/// where it holds one: no text does.
const std::string& whole_line(const Row& row);

/// `content` without the line ends, and so without the blank lines, at its end.
std::string_view without_last_line_ends(std::string_view content);

/// Throws Error, naming `origin`, where the lines of `content` end in CR alone, which would make
/// one line of them.
void check_line_ends(std::string_view content, const std::string& origin);

/// The first line, without its end.
std::string first_line(std::string_view content);

}  // namespace mtlora
