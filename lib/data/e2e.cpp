// The E2E challenge (Novikova et al. 2017, "The E2E Dataset: New Challenges For End-to-End
// Generation", arXiv 1706.09254): attributes of a restaurant to text, from the lines
// `context||text` of microsoft/LoRA or from the challenge's CSV. A context is one prompt, with
// every text written for it.

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/data/corpus.h"
#include "lib/data/meaning_representation.h"
#include "lib/data/records.h"
#include "lib/data/table.h"
#include "lib/data/task.h"

namespace mtlora {
namespace {

std::string_view stripped(std::string_view text) {
  constexpr std::string_view spaces = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(spaces);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(spaces) + 1 - begin);
}

TextEntry entry_of_line(std::string_view written) {
  constexpr std::string_view bars = "||";
  const std::string_view line = stripped(written);  // as microsoft/LoRA does
  const size_t at = line.find(bars);
  if (at == line.npos || line.find(bars, at + bars.size()) != line.npos)
    fail("is not of the form context||text");
  if (at == 0) fail("there is no context before \"||\"");
  return {std::string(line.substr(0, at)), {std::string(line.substr(at + bars.size()))}};
}

void read_lines(std::string_view content, TextCollector& into) {
  TableReader lines(content, '\0', Quoting::none);
  Row row;
  while (lines.next(row)) into.add(row.line, [&] { return entry_of_line(whole_line(row)); });
}

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// `mr,ref`, or `MR` alone in the challenge's test set.
void read_csv(const std::filesystem::path& file, std::string_view content, TextCollector& into) {
  Row header;
  TableReader(content, ',', Quoting::csv).next(header);
  if (!header.problem.empty()) fail("{}:1: {}", file.string(), header.problem);
  for (std::string& name : header.cells)
    for (const char* known : {"mr", "ref"})
      if (same_letters(name, known)) name = known;
  Columns columns{.text = "mr", .text_pair = "ref", .label = {}};
  const bool has_texts = std::count(header.cells.begin(), header.cells.end(), "ref") > 0;
  if (into.is_test() && !has_texts) columns.text_pair.reset();
  const TableShape shape{.columns = header.cells};
  read_table(content, shape, columns, file.string(), [&](Record&& record) {
    into.add(record.line, [&] {
      if (!record.problem.empty()) throw Error(record.problem);
      TextEntry entry{context_of_meaning(record.text)};
      if (record.text_pair) entry.texts.push_back(std::move(*record.text_pair));
      return entry;
    });
  });
  if (has_texts)
    into.note(
        "these texts are as they were written; those of microsoft/LoRA, which published scores "
        "are of, have spaces around punctuation");
}

void read(const std::filesystem::path& file, std::string_view content, TextCollector& into) {
  const std::string extension = file.extension().string();
  check_line_ends(content, file.string());
  if (extension == ".txt") return read_lines(content, into);
  if (extension != ".csv") fail("{}: E2E files end in .txt or .csv", file.string());
  read_csv(file, content, into);
}

struct E2eOptions : CorpusOptions {
  E2eOptions() { data = "data/e2e"; }
};

std::unique_ptr<TextTask> start(const Json& in) {
  return open_corpus(
      {.info = {.name = "e2e", .groups = {}, .score_preset = "e2e"},
       .source = "Take examples/NLG/data/e2e of https://github.com/microsoft/LoRA, or the CSV "
                 "files of https://github.com/tuetschek/e2e-dataset (e2e-dataset.zip), and name "
                 "their folder with task.data.",
       .splits = {{"train", "", {"train", "trainset"}, "train", {}},
                  {"dev", "", {"valid", "dev", "devset"}, "dev", {}},
                  {"test", "", {"test", "testset_w_refs"}, "test", {}, {"testset"}}},
       .extensions = {".txt", ".csv"},
       .prompts = Prompts::distinct,
       .known = {{"train", 42061, 42061, ""},
                 {"dev", 4672, 4672, ""},
                 {"test", 4693, 4693, ""},
                 {"test", 630, 0, "the test set without its texts (testset.csv)"}},
       .read = read},
      parse<E2eOptions>(in, "/task"));
}

}  // namespace

TaskEntry tasks_list::e2e() {
  TaskEntry entry{
      {"e2e", "E2E challenge: attributes of a restaurant to text.", default_visit<E2eOptions>()}};
  entry.start_text = start;
  return entry;
}

}  // namespace mtlora
