#include "lib/metrics/meteor_lexicon.h"

#include <libstemmer.h>

#include <algorithm>
#include <sstream>
#include <unordered_set>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/metrics/meteor_paraphrases.h"
#include "lib/metrics/meteor_synonyms.h"

namespace mtlora {
namespace {

constexpr const char* function_words = "function/english.words";
constexpr const char* paraphrase_table = "paraphrase-en.gz";

struct StemmerEnd {
  void operator()(sb_stemmer* stemmer) const { sb_stemmer_delete(stemmer); }
};

/// Snowball's English stemmer, also known as Porter 2; Snowball 2.2 stems as the one that METEOR
/// 1.5 carries.
class Stemmer {
 public:
  Stemmer() : stemmer_(sb_stemmer_new("english", nullptr)) {
    if (!stemmer_) fail("METEOR: libstemmer has no English stemmer");
  }
  std::string operator()(const std::string& word) const {
    const auto* bytes = reinterpret_cast<const sb_symbol*>(word.data());
    const sb_symbol* stem = sb_stemmer_stem(stemmer_.get(), bytes, static_cast<int>(word.size()));
    if (!stem) throw std::bad_alloc();
    return {reinterpret_cast<const char*>(stem),
            static_cast<size_t>(sb_stemmer_length(stemmer_.get()))};
  }

 private:
  std::unique_ptr<sb_stemmer, StemmerEnd> stemmer_;
};

bool intersect(const std::vector<int>& a, const std::vector<int>& b) {
  for (auto i = a.begin(), k = b.begin(); i != a.end() && k != b.end();) {
    if (*i == *k) return true;
    *i < *k ? ++i : ++k;
  }
  return false;
}

/// Where phrases stand in a text. Most do not: their first word is looked for first.
class PhrasePlaces {
 public:
  PhrasePlaces(std::span<const int> text, size_t words) : text_(text), is_there_(words) {
    for (const int word : text) is_there_[static_cast<size_t>(word)] = true;
  }
  template <class Use>
  void each(std::span<const int> phrase, const Use& use) const {
    if (phrase.size() > text_.size() || !is_there_[static_cast<size_t>(phrase.front())]) return;
    for (size_t i = 0; i + phrase.size() <= text_.size(); ++i) {
      if (std::equal(phrase.begin(), phrase.end(), text_.begin() + static_cast<ptrdiff_t>(i)))
        use(i);
    }
  }

 private:
  std::span<const int> text_;
  std::vector<bool> is_there_;
};

}  // namespace

struct MeteorLexicon::Sources {
  Stemmer stem;
  std::unordered_set<std::string> function_words;
  std::optional<MeteorSynonyms> synonyms;
  std::optional<MeteorParaphrases> paraphrases;
};

const std::vector<std::string>& MeteorLexicon::known_modules() {
  static const std::vector<std::string> known = {"exact", "stem", "synonym", "paraphrase"};
  return known;
}

std::vector<std::string> MeteorLexicon::modules_of(const std::filesystem::path& data) {
  std::vector<std::string> modules = known_modules();
  if (!std::filesystem::exists(data / paraphrase_table)) modules.pop_back();
  return modules;
}

MeteorLexicon::MeteorLexicon(Options options)
    : options_(std::move(options)), sources_(std::make_unique<Sources>()) {
  check_modules();
  if (!options_.data) return;
  check_data();
  std::istringstream words(read_file(*options_.data / function_words));
  for (std::string word; std::getline(words, word);) sources_->function_words.insert(word);
  options_.words.prefixes = NonbreakingPrefixes(*options_.data / "nonbreaking/english.prefixes");
  if (has("synonym")) sources_->synonyms.emplace(*options_.data / "synonym");
}

MeteorLexicon::~MeteorLexicon() = default;

bool MeteorLexicon::has(std::string_view module) const {
  return std::find(options_.modules.begin(), options_.modules.end(), module) !=
         options_.modules.end();
}

void MeteorLexicon::check_modules() const {
  const std::vector<std::string>& known = known_modules();
  const auto& modules = options_.modules;
  for (size_t i = 0; i < modules.size(); ++i) {
    const std::string& name = modules[i];
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      fail("/modules: {}", unknown("METEOR module", name, known));
    }
    if (std::find(modules.begin(), modules.begin() + static_cast<std::ptrdiff_t>(i), name) !=
        modules.begin() + static_cast<std::ptrdiff_t>(i)) {
      fail("/modules: \"{}\" is named twice", name);
    }
    if ((name == "synonym" || name == "paraphrase") && !options_.data) {
      fail(
          "/data: METEOR's module {} needs the folder of METEOR 1.5's resources "
          "(scripts/fetch_meteor makes one, --meteor-data names it); without it, ask for "
          "'meteor:modules=[\"exact\",\"stem\"]', which is not METEOR 1.5's score",
          name);
    }
  }
  if (!options_.words.punctuation && options_.words.normalize != MeteorWords::Normalize::full) {
    fail("/punctuation: false needs normalize \"full\"");
  }
}

void MeteorLexicon::check_data() const {
  const std::filesystem::path& data = *options_.data;
  if (!std::filesystem::exists(data / function_words)) {
    fail(
        "{}: no {} in it: not the folder of METEOR 1.5's resources, which scripts/fetch_meteor "
        "makes",
        data.string(), function_words);
  }
  if (has("paraphrase") && !std::filesystem::exists(data / paraphrase_table)) {
    fail(
        "{}: no {} in it, which METEOR's module paraphrase needs: scripts/fetch_meteor makes a "
        "folder with it; without it, set modules to exact, stem and synonym, which is not METEOR "
        "1.5's score",
        data.string(), paraphrase_table);
  }
}

std::vector<int> MeteorLexicon::encode(std::string_view text) {
  std::vector<int> out;
  for (const std::string& word : options_.words(text)) {
    const auto [at, is_new] = numbers_.try_emplace(word, static_cast<int>(words_.size()));
    if (is_new) words_.push_back(look_up(word));
    out.push_back(at->second);
  }
  return out;
}

MeteorLexicon::Word MeteorLexicon::look_up(const std::string& word) {
  Word out;
  out.stem =
      stems_.try_emplace(sources_->stem(word), static_cast<int>(stems_.size())).first->second;
  out.is_function_word = sources_->function_words.contains(meteor_lower(word));
  if (sources_->synonyms) out.synonyms = sources_->synonyms->sets(word);
  return out;
}

void MeteorLexicon::read_paraphrases() {
  if (has("paraphrase")) sources_->paraphrases.emplace(*options_.data / paraphrase_table, numbers_);
}

MeteorCandidates MeteorLexicon::candidates(std::span<const int> test,
                                           std::span<const int> reference) const {
  MeteorCandidates out(test.size(), reference.size());
  // The same words need one matcher only; more of them would only crowd the beam.
  const bool same = std::equal(test.begin(), test.end(), reference.begin(), reference.end());
  const size_t modules = same ? 1 : options_.modules.size();
  for (size_t m = 0; m < modules; ++m) {
    if (options_.modules[m] == "paraphrase") {
      add_paraphrases(static_cast<int>(m), out, test, reference);
    } else {
      add_word_pairs(static_cast<int>(m), out, test, reference);
    }
  }
  return out;
}

void MeteorLexicon::add_word_pairs(int module, MeteorCandidates& out, std::span<const int> test,
                                   std::span<const int> reference) const {
  const std::string& name = options_.modules[static_cast<size_t>(module)];
  const bool exact = name == "exact", stem = name == "stem";
  for (size_t j = 0; j < reference.size(); ++j) {
    const Word& wanted = info(reference[j]);
    for (size_t i = 0; i < test.size(); ++i) {
      const bool equal = test[i] == reference[j];
      if (equal != exact) continue;  // the other matchers match different words only
      const Word& word = info(test[i]);
      if (exact || (stem ? word.stem == wanted.stem : intersect(word.synonyms, wanted.synonyms))) {
        out.add({.test = static_cast<int>(i),
                 .test_words = 1,
                 .reference = static_cast<int>(j),
                 .reference_words = 1,
                 .module = module,
                 .exact = exact});
      }
    }
  }
}

void MeteorLexicon::add_paraphrases(int module, MeteorCandidates& out, std::span<const int> test,
                                    std::span<const int> reference) const {
  // A pair that the table holds both ways is found twice, which makes it a rival of itself, as in
  // METEOR.
  const auto add = [&](size_t i, size_t test_words, size_t j, size_t reference_words) {
    out.add({.test = static_cast<int>(i),
             .test_words = static_cast<int>(test_words),
             .reference = static_cast<int>(j),
             .reference_words = static_cast<int>(reference_words),
             .module = module,
             .exact = false});
  };
  const PhrasePlaces in_test(test, words_.size()), in_reference(reference, words_.size());
  for (size_t j = 0; j < reference.size(); ++j) {
    sources_->paraphrases->each(reference, j, [&](size_t words, std::span<const int> phrase) {
      in_test.each(phrase, [&](size_t i) { add(i, phrase.size(), j, words); });
    });
  }
  for (size_t i = 0; i < test.size(); ++i) {
    sources_->paraphrases->each(test, i, [&](size_t words, std::span<const int> phrase) {
      in_reference.each(phrase, [&](size_t j) { add(i, words, j, phrase.size()); });
    });
  }
}

}  // namespace mtlora
