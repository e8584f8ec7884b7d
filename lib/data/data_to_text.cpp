// Data of one's own for generating text: JSON lines with a prompt, the text written for it, and
// where there are several to compare with, these.

#include <algorithm>
#include <map>
#include <utility>

#include "lib/core/error.h"
#include "lib/data/corpus.h"
#include "lib/data/json_value.h"
#include "lib/data/shown_text.h"
#include "lib/data/table.h"
#include "lib/data/task.h"

namespace mtlora {
namespace {

struct DataToTextOptions : CorpusOptions {
  std::string prompt = "prompt", completion = "completion", references = "references",
              group = "group";
  std::vector<std::string> groups;

  void fields(Fields& f) {
    CorpusOptions::fields(f);
    f("prompt", prompt, "JSON key of the context.", not_empty());
    f("completion", completion, "JSON key of the text; a row of the test split may be without it.",
      not_empty());
    f("references", references,
      "JSON key of the texts to compare with, a list; a row may be without it: then it is the "
      "completion.",
      not_empty());
    f("group", group, "JSON key of the row's group; a row may be without it.", not_empty());
    f("groups", groups,
      "The groups that are scored apart too; any other in a row is malformed. Empty: groups are "
      "not told apart.");
  }
};

bool has(const Json& row, const std::string& key) {
  const auto found = row.find(key);
  return found != row.end() && !found->is_null();
}

std::vector<std::string> references_of(const Json& row, const std::string& key) {
  std::vector<std::string> references;
  for (const Json& text : json_array(row, key)) {
    if (!text.is_string()) fail("\"{}\" holds what is not a string: {}", key, shown(text));
    references.push_back(text.get<std::string>());
  }
  return references;
}

std::string group_of(const Json& row, const DataToTextOptions& options) {
  if (options.groups.empty() || !has(row, options.group)) return "";
  std::string group = json_string(row, options.group);
  const auto& known = options.groups;
  if (std::find(known.begin(), known.end(), group) == known.end())
    fail("the group \"{}\" is none of task.groups: {}", shown_text(group), fmt::join(known, ", "));
  return group;
}

// Keys that are not read, and one that the row lacks is spelled much alike.
using MisspeltKeys = std::map<std::pair<std::string, std::string>, size_t>;  // (given, meant): rows

void count_misspelt(const Json& row, const DataToTextOptions& options, MisspeltKeys& misspelt) {
  std::vector<std::string> keys = {options.completion, options.references};
  if (!options.groups.empty()) keys.push_back(options.group);
  std::erase_if(keys, [&](const std::string& key) { return row.contains(key); });
  if (keys.empty()) return;
  for (const auto& [given, value] : row.items()) {
    const bool is_read = given == options.prompt || given == options.completion ||
                         given == options.references || given == options.group;
    const std::string meant = is_read ? "" : nearest(given, keys);
    if (!meant.empty()) ++misspelt[{given, meant}];
  }
}

void note_misspelt(const MisspeltKeys& misspelt, TextCollector& into) {
  for (const auto& [keys, count] : misspelt)
    into.note(fmt::format("the key \"{}\", in {} row{}, is not read; was \"{}\" meant?",
                          shown_text(keys.first), count, count == 1 ? "" : "s", keys.second));
}

TextEntry entry_of(std::string_view line, const DataToTextOptions& options, bool is_test,
                   MisspeltKeys& misspelt) {
  const Json row = parse_json_line(line);
  count_misspelt(row, options, misspelt);
  TextEntry entry{json_string(row, options.prompt)};
  if (!is_test || has(row, options.completion))
    entry.texts.push_back(json_string(row, options.completion));
  if (has(row, options.references)) entry.references = references_of(row, options.references);
  entry.group = group_of(row, options);
  return entry;
}

void check(const DataToTextOptions& options) {
  const std::vector<std::string> keys = {options.prompt, options.completion, options.references,
                                         options.group};
  for (size_t i = 0; i < keys.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (keys[i] == keys[j]) fail("/task: two of its JSON keys are \"{}\"", keys[i]);
}

std::unique_ptr<TextTask> start(const Json& in) {
  const auto options = parse<DataToTextOptions>(in, "/task");
  check(options);
  return open_corpus({.info = {.name = "data_to_text",
                               .groups = options.groups,
                               .score_preset = "",
                               .context_key = options.prompt},
                      .source = "Name the folder of the files with task.data.",
                      .splits = {{"train", "", {"train"}, "train", {}},
                                 {"dev", "", {"dev"}, "dev", {}},
                                 {"test", "", {"test"}, "test", {}}},
                      .extensions = {".jsonl"},
                      .prompts = Prompts::distinct,
                      .read =
                          [options](const std::filesystem::path& file, std::string_view content,
                                    TextCollector& into) {
                            check_line_ends(content, file.string());
                            TableReader lines(content, '\0', Quoting::none);
                            Row row;
                            MisspeltKeys misspelt;
                            while (lines.next(row))
                              into.add(row.line, [&] {
                                return entry_of(whole_line(row), options, into.is_test(), misspelt);
                              });
                            note_misspelt(misspelt, into);
                          }},
                     options);
}

}  // namespace

TaskEntry tasks_list::data_to_text() {
  TaskEntry entry{{"data_to_text", "Data of one's own: JSON lines of prompts and completions.",
                   default_visit<DataToTextOptions>()}};
  entry.start_text = start;
  return entry;
}

}  // namespace mtlora
