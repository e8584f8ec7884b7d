#include "lib/metrics/score_files.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/json.h"
#include "lib/core/utf8.h"
#include "lib/metrics/score_text.h"

namespace mtlora {
namespace {

bool is_blank(std::string_view line) {
  return scoring::unicode_words_of(line).empty();
}

std::vector<std::string> read_lines(const std::string& file) {
  const std::string content = read_file(file);
  std::string_view rest = content;
  if (rest.starts_with("\xFF\xFE") || rest.starts_with("\xFE\xFF"))
    fail("{}: is UTF-16; save it as UTF-8", file);
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  std::vector<std::string> lines;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find('\r') != std::string_view::npos)
      fail("{}:{}: has a carriage return within the line; end lines with LF or CRLF", file,
           lines.size() + 1);
    if (invalid_utf8(line)) fail("{}:{}: is not valid UTF-8", file, lines.size() + 1);
    lines.emplace_back(line);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
  return lines;
}

bool stands_in(const std::string& cell, char quote) {
  return cell.size() >= 2 && cell.front() == quote && cell.back() == quote;
}

// Without the quotes around it, those within no longer doubled.
std::string unquoted(const std::string& cell, char quote) {
  std::string inner = cell.substr(1, cell.size() - 2);
  for (size_t i = 0; (i = inner.find(std::string(2, quote), i)) != std::string::npos; ++i)
    inner.erase(i, 1);
  return inner;
}

// Whether the quotes of a cell that begins and ends with one are around it, and not its text: then
// all within are doubled.
bool is_quoted(const std::string& cell) {
  if (!stands_in(cell, '"')) return false;
  const std::string_view inner = std::string_view(cell).substr(1, cell.size() - 2);
  for (size_t i = 0; i < inner.size(); ++i)
    if (inner[i] == '"' && (++i == inner.size() || inner[i] != '"')) return false;
  return true;
}

std::vector<std::string> split_cells(const std::string& line, char separator) {
  std::vector<std::string> cells(1);
  bool is_within = false;
  for (const char c : line) {
    if (c == '"') is_within = !is_within;
    if (c == separator && !(is_within && separator == ','))
      cells.emplace_back();
    else
      cells.back().push_back(c);
  }
  for (std::string& cell : cells)
    if (is_quoted(cell)) cell = unquoted(cell, '"');
  return cells;
}

// Of a file's name, in lower case: ".csv".
std::string extension_of(const std::string& file) {
  return scoring::ascii_lower_cased(std::filesystem::path(file).extension().string());
}

bool is_table(const std::string& file) {
  return extension_of(file) == ".csv" || extension_of(file) == ".tsv";
}

// What a text is about, where that is known, and the text.
struct TextRow {
  std::string about, text;
  size_t line;
};

// A submission of the E2E challenge has single quotes around all its cells; around some only they
// are text.
void strip_single_quotes(std::vector<TextRow>& rows, std::string TextRow::*cell) {
  const bool all = std::all_of(rows.begin(), rows.end(),
                               [&](const TextRow& row) { return stands_in(row.*cell, '\''); });
  if (!all) return;
  for (TextRow& row : rows) row.*cell = unquoted(row.*cell, '\'');
}

// The rows of two cells after the header.
std::vector<TextRow> read_table(const std::string& file) {
  const std::vector<std::string> lines = read_lines(file);
  const char separator = extension_of(file) == ".csv" ? ',' : '\t';
  std::vector<TextRow> rows;
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> cells = split_cells(lines[i], separator);
    if (cells.size() != 2)
      fail("{}:{}: has {} cells; wanted 2, what a text is about and the text", file, i + 1,
           cells.size());
    rows.push_back({std::move(cells[0]), std::move(cells[1]), i + 1});
  }
  if (separator == '\t')
    for (const auto cell : {&TextRow::about, &TextRow::text}) strip_single_quotes(rows, cell);
  return rows;
}

// The texts of lines as `mtlora generate` prints them.
std::vector<TextRow> texts_of_json(const std::string& file, const std::vector<std::string>& lines) {
  std::vector<TextRow> rows;
  for (const std::string& line : lines) {
    const std::string where = fmt::format("{}:{}", file, rows.size() + 1);
    const Json json = parse_json(line, where);
    if (!json.is_object() || !json.contains("text") || !json["text"].is_string())
      fail("{}: expected an object with a string \"text\"", where);
    rows.push_back({"", json["text"].get<std::string>(), rows.size() + 1});
  }
  return rows;
}

bool is_generated(const std::string& line) {
  if (!line.starts_with("{\"text\":")) return false;
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return json.is_object() && json.size() == 1 && json["text"].is_string();
}

// JSON taken for texts would be compared word by word, its keys and quotes too, and nobody told.
void refuse_json(const std::string& file, const std::vector<std::string>& lines) {
  if (extension_of(file) == ".json")
    fail("{}: holds more than texts, one a line; JSON objects one a line end in .jsonl", file);
  if (!lines.empty() && std::all_of(lines.begin(), lines.end(), is_generated))
    fail("{}: its lines are what mtlora generate prints: name it so that it ends in .jsonl", file);
}

std::vector<TextRow> read_hypotheses(const std::string& file) {
  if (is_table(file)) return read_table(file);
  std::vector<std::string> lines = read_lines(file);
  if (extension_of(file) == ".jsonl") return texts_of_json(file, lines);
  refuse_json(file, lines);
  std::vector<TextRow> rows;
  for (std::string& line : lines) rows.push_back({"", std::move(line), rows.size() + 1});
  return rows;
}

std::vector<std::string> read_reference_lines(const std::string& file) {
  if (is_table(file)) fail("{}: a table of references stands alone", file);
  if (extension_of(file) == ".jsonl")
    fail(
        "{}: holds JSON objects; references are texts, one a line (the texts of a task's split are "
        "written and scored by mtlora eval)",
        file);
  std::vector<std::string> lines = read_lines(file);
  refuse_json(file, lines);
  return lines;
}

using Groups = std::vector<std::vector<std::string>>;

struct TableGroups {
  Groups texts;
  std::vector<TextRow> first;  // of each group
};

TableGroups table_groups(const std::string& file) {
  TableGroups groups;
  for (TextRow& row : read_table(file)) {
    if (groups.first.empty() || row.about != groups.first.back().about) {
      groups.texts.emplace_back();
      groups.first.push_back(row);
    }
    groups.texts.back().push_back(std::move(row.text));
  }
  return groups;
}

// Rows of two tables belong together by their order alone: one that is about something which the
// other table has elsewhere shows that the orders differ.
void check_order(const ScoreFiles& files, const std::vector<TextRow>& outputs,
                 const TableGroups& groups) {
  std::set<std::string_view> known;
  for (const TextRow& row : groups.first) known.insert(row.about);
  for (size_t i = 0; i < std::min(outputs.size(), groups.first.size()); ++i) {
    const TextRow &output = outputs[i], &reference = groups.first[i];
    if (output.about == reference.about || !known.contains(output.about)) continue;
    fail(
        "{}:{}: is about \"{}\", but the references at its place, {}:{}, are about \"{}\": both "
        "files need one order",
        files.hypotheses, output.line, output.about, files.references[0], reference.line,
        reference.about);
  }
}

Groups blank_line_groups(const std::vector<std::string>& lines) {
  Groups groups;
  bool is_open = false;
  for (const std::string& line : lines) {
    if (is_blank(line)) {
      is_open = false;
      continue;
    }
    if (!is_open) groups.emplace_back();
    is_open = true;
    groups.back().push_back(line);
  }
  return groups;
}

[[noreturn]] void fail_counts(const ScoreFiles& files, size_t outputs, const std::string& file,
                              size_t references, const std::string& what) {
  fail("{} has {} outputs, but {} has {} {}", files.hypotheses, outputs, file, references, what);
}

ScoreCorpus of_groups(const ScoreFiles& files, std::vector<TextRow> outputs, Groups groups) {
  if (!files.missing_reference.empty())
    fail(
        "{}: groups of references hold those that there are, none is missing: --missing-reference "
        "is for several files",
        files.references[0]);
  if (groups.size() != outputs.size())
    fail_counts(files, outputs.size(), files.references[0], groups.size(), "groups of references");
  ScoreCorpus corpus;
  for (size_t i = 0; i < outputs.size(); ++i)
    corpus.segments.push_back({std::move(outputs[i].text), std::move(groups[i])});
  return corpus;
}

// References in the order of the files; a blank line is one that is missing.
ScoreCorpus of_lines(const ScoreFiles& files, std::vector<TextRow> outputs,
                     const std::vector<std::vector<std::string>>& lines) {
  for (size_t f = 0; f < lines.size(); ++f)
    if (lines[f].size() != outputs.size())
      fail_counts(files, outputs.size(), files.references[f], lines[f].size(), "references");
  ScoreCorpus corpus;
  Problems problems;
  for (size_t i = 0; i < outputs.size(); ++i) {
    TextSegment segment{std::move(outputs[i].text), {}};
    for (const auto& file : lines)
      if (!is_blank(file[i])) segment.references.push_back(file[i]);
    const size_t missing = lines.size() - segment.references.size();
    corpus.missing_references += missing;
    if (segment.references.empty())
      problems.add(fmt::format("{}:{}: is empty in every reference file",
                               fmt::join(files.references, ", "), i + 1));
    else if (files.missing_reference == "first")
      segment.references.insert(segment.references.end(), missing, segment.references.front());
    else if (files.missing_reference != "none")
      segment.empty_references = missing;
    corpus.segments.push_back(std::move(segment));
  }
  problems.raise();
  return corpus;
}

}  // namespace

ScoreCorpus read_score_files(const ScoreFiles& files) {
  const std::vector<std::string> policies = {"none", "first", "empty"};
  if (!files.missing_reference.empty() &&
      std::find(policies.begin(), policies.end(), files.missing_reference) == policies.end())
    fail("{}", unknown("policy of missing references", files.missing_reference, policies));
  if (files.references.empty()) fail("no file of references is given");
  std::vector<TextRow> outputs = read_hypotheses(files.hypotheses);
  if (outputs.empty()) fail("{}: has no output", files.hypotheses);
  if (files.references.size() == 1 && is_table(files.references[0])) {
    TableGroups groups = table_groups(files.references[0]);
    if (is_table(files.hypotheses)) check_order(files, outputs, groups);
    return of_groups(files, std::move(outputs), std::move(groups.texts));
  }
  std::vector<std::vector<std::string>> lines;
  for (const std::string& file : files.references) lines.push_back(read_reference_lines(file));
  const bool has_blank = std::any_of(lines[0].begin(), lines[0].end(), is_blank);
  if (lines.size() == 1 && lines[0].size() != outputs.size() && has_blank)
    return of_groups(files, std::move(outputs), blank_line_groups(lines[0]));
  return of_lines(files, std::move(outputs), lines);
}

}  // namespace mtlora
