#include <algorithm>
#include <charconv>

#include "lib/core/error.h"
#include "lib/data/glue_tasks.h"
#include "lib/data/shown_text.h"

namespace mtlora {
namespace {

std::vector<std::string> split_cells(const std::string& line, char separator, Quoting quoting) {
  Row row;
  TableReader(line, separator, quoting).next(row);
  return row.cells;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_number(const std::string& cell) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc() && end == cell.data() + cell.size();
}

// The texts, and maybe label and idx, in any order; nothing else.
bool is_hugging_face(const GlueTask& task, const std::vector<std::string>& header) {
  const auto& [text, text_pair, label, _] = task.columns;
  return has(header, text) && (!text_pair || has(header, *text_pair)) &&
         std::all_of(header.begin(), header.end(), [&](const std::string& name) {
           return name == text || name == text_pair || name == label || name == "idx";
         });
}

// A header as an error shows it: one line, tabs readable.
std::string shown(const std::string& line, char separator = '\t') {
  return shown_list(split_cells(line, separator, Quoting::none), " | ");
}

[[noreturn]] void fail_unknown_header(const GlueTask& task, const std::string& extension,
                                      const std::string& line, const std::string& origin) {
  std::string known;
  if (extension == ".tsv") {
    for (const std::string& header : task.headers) known += "\n  " + shown(header);
    if (!task.headerless.empty()) known += "\n  no header, but " + shown(task.headerless);
  }
  const auto& [text, text_pair, label, _] = task.columns;
  known += fmt::format("\n  {}{} | {} | idx (quoted like CSV; idx may be absent)", text,
                       text_pair ? " | " + *text_pair : "", *label);
  fail("{}:1: not a header of {} that is known: {}\nexpected one of{}", origin, task.name,
       shown(line, extension == ".csv" ? ',' : '\t'), known);
}

}  // namespace

GlueLayout glue_layout(const GlueTask& task, const std::string& extension,
                       const std::string& first_line, const std::string& origin) {
  if (extension == ".jsonl") return {std::nullopt, task.columns, false};
  if (extension == ".tsv") {
    const auto cells = split_cells(first_line, '\t', Quoting::none);
    if (has(task.headers, first_line))
      return {TableShape{'\t', Quoting::none, true, cells}, task.official, true};
    // Names of columns are no numbers; ids and labels are.
    if (!task.headerless.empty() && std::any_of(cells.begin(), cells.end(), is_number)) {
      const auto columns = split_cells(task.headerless, '\t', Quoting::none);
      return {TableShape{'\t', Quoting::none, false, columns}, task.official, true};
    }
  }
  const char separator = extension == ".csv" ? ',' : '\t';
  const auto header = split_cells(first_line, separator, Quoting::csv);
  if (!is_hugging_face(task, header)) fail_unknown_header(task, extension, first_line, origin);
  TableShape shape{separator, Quoting::csv, true, header};
  // That quotes mean something is read off the header alone: a lone one must not swallow rows.
  if (separator == '\t') {
    shape.quoting = Quoting::csv_line;
    shape.quote_advice =
        "; in a .tsv with the columns of Hugging Face's data, put a cell that holds quotes in "
        "quotes and double those in it; cells of several lines need .csv or .jsonl";
  }
  return {shape, task.columns, false};
}

}  // namespace mtlora
