#include "lib/data/table.h"

#include <algorithm>
#include <cstdint>

#include "lib/core/error.h"

namespace mtlora {
namespace {

constexpr size_t npos = std::string_view::npos;
constexpr char never_closed[] = "a quote is opened and never closed";

std::string_view without_cr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Reads one cell at `at` and leaves `at` behind it; returns what is wrong with it, or nullptr.
const char* read_cell(std::string_view content, char separator, size_t& at, std::string& cell) {
  const char ends[] = {separator, '\n', '\0'};
  if (at >= content.size() || content[at] != '"') {
    const size_t end = std::min(content.find_first_of(ends, at), content.size());
    cell = content.substr(at, end - at);
    if ((end == content.size() || content[end] == '\n') && cell.ends_with('\r')) cell.pop_back();
    at = end;
    return nullptr;
  }
  for (;;) {
    const size_t quote = content.find('"', at + 1);
    if (quote == npos) return never_closed;
    cell += content.substr(at + 1, quote - at - 1);
    at = quote + 1;
    if (at >= content.size() || content[at] != '"') break;
    cell += '"';
  }
  if (content.substr(at).starts_with("\r\n")) ++at;
  const bool ended = at == content.size() || content[at] == separator || content[at] == '\n';
  return ended ? nullptr : "text stands behind a closing quote";
}

}  // namespace

const std::string& whole_line(const Row& row) {
  if (row.cells.size() != 1)
    fail("the line holds a NUL byte, its byte {}", row.cells.front().size() + 1);
  return row.cells.front();
}

std::string_view without_last_line_ends(std::string_view content) {
  const size_t last = content.find_last_not_of("\r\n");
  return content.substr(0, last == npos ? 0 : last + 1);
}

void check_line_ends(std::string_view content, const std::string& origin) {
  const std::string_view text = without_last_line_ends(content);
  if (text.find('\n') == npos && text.find('\r') != npos)
    fail("{}: its lines end in CR; save it with LF or CRLF line ends", origin);
}

std::string first_line(std::string_view content) {
  return std::string(without_cr(content.substr(0, content.find('\n'))));
}

TableReader::TableReader(std::string_view content, char separator, Quoting quoting)
    : content_(without_last_line_ends(content)),
      separator_(separator),
      quoting_(quoting),
      more_(!content_.empty()) {}

bool TableReader::next(Row& row) {
  if (!more_) return false;
  row.line = line_;
  row.cells.clear();
  row.problem.clear();
  if (quoting_ == Quoting::none)
    split_line(row);
  else
    read_quoted(row);
  return true;
}

std::string_view TableReader::take_line() {
  const size_t end = content_.find('\n', at_);
  const std::string_view line = content_.substr(at_, end == npos ? npos : end - at_);
  more_ = end != npos;
  at_ = end + 1;
  ++line_;
  return without_cr(line);
}

void TableReader::split_line(Row& row) {
  const std::string_view line = take_line();
  for (size_t begin = 0, end = 0; end != npos; begin = end + 1) {
    end = line.find(separator_, begin);
    row.cells.emplace_back(line.substr(begin, end == npos ? npos : end - begin));
  }
}

/// Keeps that a row with a cell at one of `begins` has `problem`, for the rows that are still to be
/// read. Each of them could go over the same cells to the end of the content otherwise.
void TableReader::remember(const char* problem, const std::vector<size_t>& begins) {
  for (const size_t begin : begins) {
    if (begin >= at_) problems_.emplace(begin, problem);
  }
}

void TableReader::read_quoted(Row& row) {
  const bool is_one_line = quoting_ == Quoting::csv_line;
  const size_t line_end = is_one_line ? content_.find('\n', at_) : npos;
  const std::string_view content = content_.substr(0, line_end == npos ? npos : line_end + 1);
  size_t at = at_;
  std::vector<size_t> begins;  // of cells
  for (;;) {
    begins.push_back(at);
    const auto known = problems_.find(at);
    const char* problem = known != problems_.end()
                              ? known->second
                              : read_cell(content, separator_, at, row.cells.emplace_back());
    if (problem) {
      row.problem = is_one_line && problem == never_closed
                        ? "a quote is opened and not closed on its line"
                        : problem;
      row.cells.clear();
      take_line();
      remember(problem, begins);
      return;
    }
    if (at == content.size() || content[at] == '\n') break;
    ++at;  // behind the separator
  }
  const std::string_view read = content_.substr(at_, at - at_);
  line_ += 1 + static_cast<size_t>(std::count(read.begin(), read.end(), '\n'));
  more_ = at < content_.size();
  at_ = at + 1;
}

}  // namespace mtlora
