// DART 1.1.1 (Nan et al. 2021, "DART: Open-Domain Structured Data Record to Text Generation", arXiv
// 2007.02871), in the official JSON or that of microsoft/LoRA, whose contexts these are:
// `subject : relation : object`, the relation lower-cased, triples joined by ` | `; every
// annotation is a text, the empty one of the test set too.

#include "lib/core/error.h"
#include "lib/data/corpus.h"
#include "lib/data/json_entries.h"
#include "lib/data/json_value.h"
#include "lib/data/task.h"
#include "lib/data/triples.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

struct DartOptions : CorpusOptions {
  std::string prompts = "entry";

  DartOptions() { data = "data/dart"; }
  void fields(Fields& f) {
    CorpusOptions::fields(f);
    f("prompts", prompts,
      "entry: a prompt for every entry, as the official evaluation has it; context: one for every "
      "distinct context, with the references of all its entries, as microsoft/LoRA has it.",
      one_of({"entry", "context"}));
  }
};

std::string lower(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) append_lower(next_code_point(text, at), out);
  return out;
}

TextEntry entry_of(const Json& in) {
  TextEntry entry;
  Triples triples;
  for (const Json& triple : json_array(in, "tripleset")) {
    const bool fits = triple.is_array() && triple.size() == 3 && triple[0].is_string() &&
                      triple[1].is_string() && triple[2].is_string();
    if (!fits) fail("{} is not a triple: [subject, relation, object]", shown(triple));
    triples.add(triple[0].get_ref<const std::string&>(),
                lower(triple[1].get_ref<const std::string&>()),
                triple[2].get_ref<const std::string&>());
  }
  entry.context = triples.context();
  for (const Json& annotation : json_array(in, "annotations"))
    entry.texts.push_back(json_string(annotation, "text"));
  return entry;
}

void read(const std::filesystem::path& file, std::string_view content, TextCollector& into) {
  if (file.extension() != ".json") fail("{}: DART files end in .json", file.string());
  read_json_entries(content, file.string(), "", [&](size_t line, const Json& entry) {
    into.add(line, [&] { return entry_of(entry); });
  });
}

Split split(const std::string& name) {
  return {name, "", {"dart-v1.1.1-full-" + name, name}, name, {}};
}

std::unique_ptr<TextTask> start(const Json& in) {
  const auto options = parse<DartOptions>(in, "/task");
  return open_corpus(
      {.info = {.name = "dart", .groups = {}, .score_preset = "dart"},
       .source = "Take data/v1.1.1 of https://github.com/Yale-LILY/dart or examples/NLG/data/dart "
                 "of https://github.com/microsoft/LoRA, and name the folder with task.data.",
       .splits = {split("train"), split("dev"), split("test")},
       .extensions = {".json"},
       .prompts = options.prompts == "entry" ? Prompts::each : Prompts::distinct,
       .known = {{"train", 30526, 62659, ""},
                 {"dev", 2768, 6980, ""},
                 {"test", 5097, 12552, "the official test set"},
                 {"test", 6959, 12552,
                  "microsoft/LoRA's test set: the official one and 1862 entries without texts"}},
       .read = read},
      options);
}

}  // namespace

TaskEntry tasks_list::dart() {
  TaskEntry entry{{"dart", "DART: triples of many domains to text.", default_visit<DartOptions>()}};
  entry.start_text = start;
  return entry;
}

}  // namespace mtlora
