// WebNLG 2017 (Gardent et al. 2017, "The WebNLG Challenge: Generating Text from RDF Data", INLG,
// W17-3518): triples to text, from the challenge's XML or the JSON of microsoft/LoRA, whose
// contexts these are: `subject : property : object`, triples joined by ` | `, from
// modifiedtripleset; texts whose comment is "good".

#include <algorithm>
#include <array>
#include <pugixml.hpp>

#include "lib/core/error.h"
#include "lib/data/corpus.h"
#include "lib/data/json_entries.h"
#include "lib/data/json_value.h"
#include "lib/data/shown_text.h"
#include "lib/data/task.h"
#include "lib/data/triples.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

// The categories of the training set, as microsoft/LoRA lists them.
constexpr std::array<std::string_view, 10> seen_categories = {
    "Airport", "Astronaut", "Building",   "City",       "ComicsCharacter",
    "Food",    "Monument",  "SportsTeam", "University", "WrittenWork"};

std::string group_of(std::string_view category) {
  if (category.empty()) fail("the entry has no category");
  const bool is_seen =
      std::find(seen_categories.begin(), seen_categories.end(), category) != seen_categories.end();
  return is_seen ? "seen" : "unseen";
}

void take_text(TextEntry& entry, std::string text, const std::string& comment,
               TextCollector& into) {
  if (comment == "good")
    entry.texts.push_back(std::move(text));
  else
    into.leave_out(comment);
}

TextEntry entry_of_json(const Json& numbered, TextCollector& into) {
  if (!numbered.is_object() || numbered.size() != 1)
    fail("is not an object of one entry, {{\"1\": {{…}}}}");
  const Json& in = numbered.begin().value();
  TextEntry entry;
  Triples triples;
  for (const Json& triple : json_array(in, "modifiedtripleset"))
    triples.add(json_string(triple, "subject"), json_string(triple, "property"),
                json_string(triple, "object"));
  entry.context = triples.context();
  entry.group = group_of(json_string(in, "category"));
  for (const Json& text : json_array(in, "lexicalisations"))
    take_text(entry, json_string(text, "lex"), json_string(text, "comment"), into);
  return entry;
}

// `<mtriple>subject | property | object</mtriple>`
void add_triple(std::string_view written, Triples& triples) {
  constexpr std::string_view bar = " | ";
  const size_t first = written.find(bar);
  const size_t second = written.find(bar, first == written.npos ? first : first + bar.size());
  if (second == written.npos || written.find(bar, second + bar.size()) != written.npos)
    fail("\"{}\" is not a triple: subject | property | object", shown_text(written));
  triples.add(written.substr(0, first),
              written.substr(first + bar.size(), second - first - bar.size()),
              written.substr(second + bar.size()));
}

TextEntry entry_of_xml(const pugi::xml_node& in, TextCollector& into) {
  TextEntry entry;
  Triples triples;
  const auto sets = in.children("modifiedtripleset");
  if (std::distance(sets.begin(), sets.end()) != 1)
    fail("{} <modifiedtripleset> instead of 1", std::distance(sets.begin(), sets.end()));
  for (const auto& triple : sets.begin()->children("mtriple"))
    add_triple(triple.text().get(), triples);
  entry.context = triples.context();
  entry.group = group_of(in.attribute("category").value());
  for (const auto& text : in.children("lex")) {
    if (!text.attribute("comment")) fail("a <lex> has no comment");
    take_text(entry, text.text().get(), text.attribute("comment").value(), into);
  }
  return entry;
}

// Lines of offsets that grow.
class LineOf {
 public:
  explicit LineOf(std::string_view content) : content_(content) {}
  size_t operator()(std::ptrdiff_t offset) {
    const auto end = content_.begin() + offset;
    line_ += static_cast<size_t>(std::count(content_.begin() + at_, end, '\n'));
    at_ = offset;
    return line_;
  }

 private:
  std::string_view content_;
  std::ptrdiff_t at_ = 0;
  size_t line_ = 1;
};

void read_xml(const std::filesystem::path& file, std::string_view content, TextCollector& into) {
  if (const auto at = invalid_utf8(content))
    fail("{}:{}: not valid UTF-8", file.string(),
         LineOf(content)(static_cast<std::ptrdiff_t>(*at)));
  pugi::xml_document document;
  const auto result = document.load_buffer(content.data(), content.size(), pugi::parse_default,
                                           pugi::encoding_utf8);
  if (!result)
    fail("{}:{}: not valid XML: {}", file.string(), LineOf(content)(result.offset),
         result.description());
  const pugi::xml_node entries = document.child("benchmark").child("entries");
  if (!entries) fail("{}: there is no <benchmark> with <entries> in it", file.string());
  LineOf line(content);
  for (const pugi::xml_node& entry : entries.children("entry"))
    into.add(line(entry.offset_debug()), [&] { return entry_of_xml(entry, into); });
}

void read(const std::filesystem::path& file, std::string_view content, TextCollector& into) {
  const std::string extension = file.extension().string();
  if (extension == ".xml") return read_xml(file, content, into);
  if (extension != ".json") fail("{}: WebNLG files end in .xml or .json", file.string());
  read_json_entries(content, file.string(), "entries", [&](size_t line, const Json& entry) {
    into.add(line, [&] { return entry_of_json(entry, into); });
  });
}

struct WebnlgOptions : CorpusOptions {
  WebnlgOptions() { data = "data/webnlg"; }
};

std::unique_ptr<TextTask> start(const Json& in) {
  return open_corpus(
      {.info = {.name = "webnlg", .groups = {"seen", "unseen"}, .score_preset = "webnlg"},
       .source =
           "Take the XML files of https://webnlg-challenge.loria.fr/challenge_2017, or "
           "examples/NLG/data/webnlg_challenge_2017 of https://github.com/microsoft/LoRA, and "
           "name their folder with task.data.",
       .splits = {{"train", "", {"train"}, "train", {}, {}, {".xml"}},
                  {"dev", "", {"dev"}, "dev", {}, {}, {".xml"}},
                  {"test",
                   "",
                   {"test", "testdata_with_lex"},
                   "test",
                   {},
                   {"testdata_no_lex", "testdata_unseen_with_lex"}}},
       .extensions = {".json", ".xml"},
       .known = {{"train", 6940, 18025, ""},
                 {"dev", 872, 2258, ""},
                 {"test", 1862, 4928, ""},
                 {"test", 1862, 0, "the test set without its texts (testdata_no_lex.xml)"},
                 {"test", 891, 2433, "the unseen categories only (testdata_unseen_with_lex.xml)"}},
       .read = read},
      parse<WebnlgOptions>(in, "/task"));
}

}  // namespace

TaskEntry tasks_list::webnlg() {
  TaskEntry entry{
      {"webnlg", "WebNLG 2017: triples of DBpedia to text.", default_visit<WebnlgOptions>()}};
  entry.start_text = start;
  return entry;
}

}  // namespace mtlora
