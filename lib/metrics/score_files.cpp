#include "lib/metrics/score_files.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/files.h"
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

// A cell that stands in quotes, single ones as well (a submission of the E2E challenge has them).
std::string unquoted(std::string cell, char quote) {
  if (cell.size() < 2 || cell.front() != quote || cell.back() != quote) return cell;
  cell = cell.substr(1, cell.size() - 2);
  for (size_t i = 0; (i = cell.find(std::string(2, quote), i)) != std::string::npos; ++i)
    cell.erase(i, 1);
  return cell;
}

std::vector<std::string> split_cells(const std::string& line, char separator) {
  std::vector<std::string> cells(1);
  bool is_quoted = false;
  for (const char c : line) {
    if (c == '"') is_quoted = !is_quoted;
    if (c == separator && !(is_quoted && separator == ','))
      cells.emplace_back();
    else
      cells.back().push_back(c);
  }
  for (std::string& cell : cells) {
    cell = unquoted(std::move(cell), '"');
    if (separator == '\t') cell = unquoted(std::move(cell), '\'');
  }
  return cells;
}

bool is_table(const std::string& file) {
  return file.ends_with(".csv") || file.ends_with(".tsv");
}

// The rows of two cells after the header: what a text is about, and the text.
std::vector<std::pair<std::string, std::string>> read_table(const std::string& file) {
  const std::vector<std::string> lines = read_lines(file);
  const char separator = file.ends_with(".csv") ? ',' : '\t';
  std::vector<std::pair<std::string, std::string>> rows;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = split_cells(lines[i], separator);
    if (cells.size() != 2)
      fail("{}:{}: has {} cells; wanted 2, what a text is about and the text", file, i + 1,
           cells.size());
    rows.emplace_back(cells[0], cells[1]);
  }
  return rows;
}

std::vector<std::string> read_hypotheses(const std::string& file) {
  if (!is_table(file)) return read_lines(file);
  std::vector<std::string> out;
  for (auto& [about, text] : read_table(file)) out.push_back(std::move(text));
  return out;
}

using Groups = std::vector<std::vector<std::string>>;

Groups table_groups(const std::string& file) {
  Groups groups;
  std::string last;
  for (auto& [about, text] : read_table(file)) {
    if (groups.empty() || about != last) groups.emplace_back();
    last = about;
    groups.back().push_back(std::move(text));
  }
  return groups;
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

ScoreCorpus of_groups(const ScoreFiles& files, std::vector<std::string> outputs, Groups groups) {
  if (groups.size() != outputs.size())
    fail_counts(files, outputs.size(), files.references[0], groups.size(), "groups of references");
  ScoreCorpus corpus;
  for (size_t i = 0; i < outputs.size(); ++i)
    corpus.segments.push_back({std::move(outputs[i]), std::move(groups[i])});
  return corpus;
}

// References in the order of the files; a blank line is one that is missing.
ScoreCorpus of_lines(const ScoreFiles& files, std::vector<std::string> outputs,
                     const std::vector<std::vector<std::string>>& lines) {
  for (size_t f = 0; f < lines.size(); ++f)
    if (lines[f].size() != outputs.size())
      fail_counts(files, outputs.size(), files.references[f], lines[f].size(), "references");
  ScoreCorpus corpus;
  Problems problems;
  for (size_t i = 0; i < outputs.size(); ++i) {
    TextSegment segment{std::move(outputs[i]), {}};
    for (const auto& file : lines)
      if (!is_blank(file[i])) segment.references.push_back(file[i]);
    const size_t missing = lines.size() - segment.references.size();
    corpus.missing_references += missing;
    if (segment.references.empty())
      problems.add(fmt::format("{}:{}: is empty in every reference file",
                               fmt::join(files.references, ", "), i + 1));
    else if (files.missing_reference == "first")
      segment.references.insert(segment.references.end(), missing, segment.references.front());
    else
      segment.empty_references = missing;
    corpus.segments.push_back(std::move(segment));
  }
  problems.raise();
  return corpus;
}

}  // namespace

ScoreCorpus read_score_files(const ScoreFiles& files) {
  const std::vector<std::string> policies = {"first", "empty"};
  if (std::find(policies.begin(), policies.end(), files.missing_reference) == policies.end())
    fail("{}", unknown("policy of missing references", files.missing_reference, policies));
  if (files.references.empty()) fail("no file of references is given");
  std::vector<std::string> outputs = read_hypotheses(files.hypotheses);
  if (outputs.empty()) fail("{}: has no output", files.hypotheses);
  if (files.references.size() == 1 && is_table(files.references[0]))
    return of_groups(files, std::move(outputs), table_groups(files.references[0]));
  std::vector<std::vector<std::string>> lines;
  for (const std::string& file : files.references) {
    if (is_table(file)) fail("{}: a table of references stands alone", file);
    lines.push_back(read_lines(file));
  }
  const bool has_blank = std::any_of(lines[0].begin(), lines[0].end(), is_blank);
  if (lines.size() == 1 && lines[0].size() != outputs.size() && has_blank)
    return of_groups(files, std::move(outputs), blank_line_groups(lines[0]));
  return of_lines(files, std::move(outputs), lines);
}

}  // namespace mtlora
