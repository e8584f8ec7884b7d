#include "lib/data/records.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/data/json_value.h"
#include "lib/data/shown_text.h"

namespace mtlora {
namespace {

// Where each of the columns stands in a table.
struct Places {
  size_t text;
  std::optional<size_t> text_pair{}, label{};
};

size_t place(const std::string& name, const std::vector<std::string>& columns,
             const std::string& origin) {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end())
    fail("{}: there is no column \"{}\"; the columns are: {}", origin, name, shown_list(columns));
  if (std::find(found + 1, columns.end(), name) != columns.end())
    fail("{}: the column \"{}\" stands twice; the columns are: {}", origin, name,
         shown_list(columns));
  return static_cast<size_t>(found - columns.begin());
}

Places places(const Columns& names, const std::vector<std::string>& columns,
              const std::string& origin) {
  Places at{.text = place(names.text, columns, origin)};
  if (names.text_pair) at.text_pair = place(*names.text_pair, columns, origin);
  const bool absent = names.label_optional &&
                      std::find(columns.begin(), columns.end(), names.label) == columns.end();
  if (names.label && !absent) at.label = place(*names.label, columns, origin);
  return at;
}

Record record_of(Row& row, const Places& at, const TableShape& shape) {
  Record record{.line = row.line};
  if (!row.problem.empty()) {
    record.problem = row.problem + shape.quote_advice;
    return record;
  }
  if (row.cells.size() != shape.columns.size()) {
    record.problem = fmt::format("{} column{} instead of {}", row.cells.size(),
                                 row.cells.size() == 1 ? "" : "s", shape.columns.size());
    return record;
  }
  record.text = std::move(row.cells[at.text]);
  if (at.text_pair) record.text_pair = std::move(row.cells[*at.text_pair]);
  if (at.label) record.label = std::move(row.cells[*at.label]);
  return record;
}

std::optional<std::string> label_of(const Json& object, const std::string& key) {
  const Json& value = json_value(object, key);
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number()) fail("\"{}\" is neither a string nor a number: {}", key, shown(value));
  return value.dump();
}

void read_json_line(std::string_view line, const Columns& columns, Record& record) {
  const Json object = parse_json_line(line);
  record.text = json_string(object, columns.text);
  if (columns.text_pair) record.text_pair = json_string(object, *columns.text_pair);
  if (columns.label && !(columns.label_optional && !object.contains(*columns.label)))
    record.label = label_of(object, *columns.label);
}

}  // namespace

void read_table(std::string_view content, const TableShape& shape, const Columns& columns,
                const std::string& origin, const EachRecord& each) {
  const Places at = places(columns, shape.columns, origin);
  TableReader reader(content, shape.separator, shape.quoting);
  Row row;
  if (shape.has_header) reader.next(row);
  while (reader.next(row)) each(record_of(row, at, shape));
}

void read_json_lines(std::string_view content, const Columns& columns, const EachRecord& each) {
  TableReader lines(content, '\0', Quoting::none);
  Row row;
  while (lines.next(row)) {
    Record record{.line = row.line};
    try {
      read_json_line(whole_line(row), columns, record);
    } catch (const Error& e) {
      record.problem = e.what();
    }
    each(std::move(record));
  }
}

}  // namespace mtlora
