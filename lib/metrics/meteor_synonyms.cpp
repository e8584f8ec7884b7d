// The base form of a word is that of WordNet 3's list of exceptions, or the first that its suffixes
// lead to (morphy); METEOR tries nouns', verbs' and adjectives' suffixes in this order.
#include "lib/metrics/meteor_synonyms.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "lib/core/error.h"

namespace mtlora {
namespace {

struct Suffix {
  std::string_view inflected, base;
};
constexpr std::array<Suffix, 20> suffixes{
    {{"s", ""},      {"ses", "s"},   {"xes", "x"},   {"zes", "z"},
     {"ches", "ch"}, {"shes", "sh"}, {"men", "man"}, {"ies", "y"},  // nouns
     {"s", ""},      {"ies", "y"},   {"es", "e"},    {"es", ""},
     {"ed", "e"},    {"ed", ""},     {"ing", "e"},   {"ing", ""},     // verbs
     {"er", ""},     {"est", ""},    {"er", "e"},    {"est", "e"}}};  // adjectives

/// Calls `use` with every pair of lines.
template <class Use>
void each_pair(const MappedFile& file, Use use) {
  std::string_view rest = file.bytes();
  const auto next_line = [&] {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
  };
  while (!rest.empty()) {
    const std::string_view word = next_line();
    if (rest.empty())
      fail("{}: the last word, \"{}\", has no line below it", file.path().string(), word);
    use(word, next_line());
  }
}

template <class Use>
void each_word(std::string_view line, Use use) {
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    if (line.empty()) return;
    const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    use(line.substr(0, end));
    line.remove_prefix(end);
  }
}

}  // namespace

MeteorSynonyms::MeteorSynonyms(const std::filesystem::path& folder)
    : synsets_(folder / "english.synsets"), exceptions_(folder / "english.exceptions") {
  sets_.reserve(synsets_.bytes().size() / 24);
  each_pair(synsets_, [&](std::string_view word, std::string_view sets) { sets_[word] = sets; });
  each_pair(exceptions_, [&](std::string_view base, std::string_view forms) {
    each_word(forms, [&](std::string_view form) { bases_[form].push_back(base); });
  });
}

void MeteorSynonyms::add_sets(std::string_view word, std::vector<int>& out) const {
  const auto found = sets_.find(word);
  if (found == sets_.end()) return;
  each_word(found->second, [&](std::string_view number) {
    int set = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), set);
    if (error != std::errc() || end != number.data() + number.size()) {
      fail("{}: the synonym set \"{}\" of \"{}\" is not a number", synsets_.path().string(), number,
           word);
    }
    out.push_back(set);
  });
}

std::string MeteorSynonyms::base_form(const std::string& word) const {
  if (word.ends_with("ss") || word.size() <= 2) return word;
  for (const Suffix& suffix : suffixes) {
    if (!word.ends_with(suffix.inflected)) continue;
    std::string base = word.substr(0, word.size() - suffix.inflected.size());
    base += suffix.base;
    if (sets_.contains(base)) return base;
  }
  return "";
}

std::vector<int> MeteorSynonyms::sets(const std::string& word) const {
  std::vector<int> out;
  add_sets(word, out);
  if (const auto irregular = bases_.find(word); irregular != bases_.end()) {
    for (const std::string_view base : irregular->second) add_sets(base, out);
  } else {
    add_sets(base_form(word), out);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace mtlora
