// Records: what a file says of each example, before the label is understood. Tables and JSON lines
// give the same.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/data/table.h"

namespace mtlora {

/// The columns of a table, or the keys of JSON objects, that make an example.
struct Columns {
  std::string text;
  std::optional<std::string> text_pair, label;
  bool label_optional = false;  ///< whether a file may be without the label's column
};

struct Record {
  size_t line = 0;
  std::string text{};
  std::optional<std::string> text_pair{};  ///< none in tasks of single texts
  std::optional<std::string> label{};      ///< as written; none: no column, or a JSON null
  std::string problem{};                   ///< what is wrong with the row; empty when nothing is
};
using EachRecord = std::function<void(Record&&)>;

struct TableShape {
  char separator = ',';
  Quoting quoting = Quoting::csv;
  bool has_header = true;
  std::vector<std::string> columns;  ///< their names, in order
  std::string quote_advice{};        ///< said behind what is wrong with the quotes of a row
};

/// Calls `each` for every row below the header. Throws Error, with all columns, naming each of
/// `columns` that the table has not or has twice; `origin` begins the message.
void read_table(std::string_view content, const TableShape& shape, const Columns& columns,
                const std::string& origin, const EachRecord& each);

/// Calls `each` for every line. Texts must be strings; labels strings, numbers or null.
void read_json_lines(std::string_view content, const Columns& columns, const EachRecord& each);

}  // namespace mtlora
