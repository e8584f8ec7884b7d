#include "lib/run/compare_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/text/unicode.h"

namespace mtlora {
namespace {

using Row = std::vector<std::string>;

// What would end a cell there, or its line.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out;
}

// The first `texts` columns stand left, numbers right.
std::string table(std::vector<Row> rows, size_t texts) {
  std::vector<size_t> widths(rows.front().size(), 3);
  for (Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = escaped(row[i]);
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  const auto line = [&](const Row& row) {
    std::string out = "|";
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - display_width(row[i]), ' ');
      out += " " + (i < texts ? row[i] + blanks : blanks + row[i]) + " |";
    }
    return out + "\n";
  };
  Row rule;
  for (size_t i = 0; i < widths.size(); ++i)
    rule.push_back(std::string(widths[i] - (i < texts ? 0 : 1), '-') + (i < texts ? "" : ":"));
  std::string out = line(rows.front()) + line(rule);
  for (size_t i = 1; i < rows.size(); ++i) out += line(rows[i]);
  return out;
}

std::string spread_text(const Spread& spread, size_t runs) {
  if (spread.count == 0) return "–";
  std::string text = fmt::format("{:.4f}", spread.mean);
  if (spread.deviation) text += fmt::format(" ± {:.4f}", *spread.deviation);
  return spread.count == runs ? text : text + fmt::format(" ({} of {})", spread.count, runs);
}

// Those of the metrics that an evaluation of that kind has.
std::vector<std::string> kept(const std::vector<std::string>& metrics,
                              const std::vector<std::string>& of_kind) {
  std::vector<std::string> out;
  for (const std::string& metric : metrics)
    if (std::find(of_kind.begin(), of_kind.end(), metric) != of_kind.end()) out.push_back(metric);
  return out;
}

std::string group_table(const Comparison& comparison, Outcome FinishedRun::*which,
                        const std::vector<std::string>& metrics) {
  Row header = {"row"};
  header.insert(header.end(), comparison.options.begin(), comparison.options.end());
  for (const char* name : {"runs", "trained"}) header.emplace_back(name);
  header.insert(header.end(), metrics.begin(), metrics.end());
  std::vector<Row> rows = {header};
  for (const RunGroup& group : comparison.groups) {
    Row row = {std::to_string(rows.size())};
    row.insert(row.end(), group.settings.begin(), group.settings.end());
    row.push_back(std::to_string(group.runs.size()));
    row.push_back(std::to_string(group.runs.front().trained_parameters));
    for (const std::string& metric : metrics)
      row.push_back(spread_text(spread_of(group, which, metric), group.runs.size()));
    rows.push_back(std::move(row));
  }
  return table(std::move(rows), 1 + comparison.options.size());
}

void add_outcome(Row& row, const Outcome& outcome, const std::vector<std::string>& metrics) {
  row.push_back(std::to_string(outcome.step));
  for (const std::string& metric : metrics) {
    const auto value = score_of(outcome, metric);
    row.push_back(value ? fmt::format("{:.4f}", *value) : "–");
  }
}

void add_header(Row& row, const std::string& which, const std::vector<std::string>& metrics) {
  row.push_back(which + " step");
  for (const std::string& metric : metrics) row.push_back(which + " " + metric);
}

std::string run_table(const Comparison& comparison, const std::vector<std::string>& of_best,
                      const std::vector<std::string>& of_last) {
  Row header = {"run", "row", "seed"};
  add_header(header, "best", of_best);
  add_header(header, "last", of_last);
  std::vector<Row> rows = {header};
  size_t number = 0;  // of the group
  for (const RunGroup& group : comparison.groups) {
    ++number;
    for (const FinishedRun& run : group.runs) {
      Row row = {run.folder.string(), std::to_string(number), std::to_string(run.seed)};
      add_outcome(row, run.best, of_best);
      add_outcome(row, run.last, of_last);
      rows.push_back(std::move(row));
    }
  }
  return table(std::move(rows), 1);
}

}  // namespace

std::string comparison_text(const Comparison& comparison, const std::vector<std::string>& metrics) {
  const auto of_best = kept(metrics, metrics_of(comparison, &FinishedRun::best));
  const auto of_last = kept(metrics, metrics_of(comparison, &FinishedRun::last));
  const bool is_repeated = std::any_of(comparison.groups.begin(), comparison.groups.end(),
                                       [](const RunGroup& group) { return group.runs.size() > 1; });
  const char* spread = is_repeated ? ", mean ± standard deviation over seeds" : "";
  std::string out;
  if (of_best.empty() && of_last.empty())  // there was no dev set
    out += fmt::format("Rows\n\n{}\n", group_table(comparison, &FinishedRun::best, {}));
  if (!of_best.empty())
    out += fmt::format("Best evaluation{}\n\n{}\n", spread,
                       group_table(comparison, &FinishedRun::best, of_best));
  if (!of_last.empty())
    out += fmt::format("Last evaluation{}\n\n{}\n", spread,
                       group_table(comparison, &FinishedRun::last, of_last));
  return out + "Every run\n\n" + run_table(comparison, of_best, of_last);
}

}  // namespace mtlora
