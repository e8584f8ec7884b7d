#include "lib/metrics/meteor_lexicon.h"

#include <libstemmer.h>

#include <algorithm>
#include <sstream>
#include <unordered_set>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/metrics/meteor_synonyms.h"

namespace mtlora {
namespace {

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

}  // namespace

struct MeteorLexicon::Sources {
  Stemmer stem;
  std::unordered_set<std::string> function_words;
  std::optional<MeteorSynonyms> synonyms;
};

MeteorLexicon::MeteorLexicon(Options options)
    : options_(std::move(options)), sources_(std::make_unique<Sources>()) {
  check_modules();
  if (!options_.data) return;
  std::istringstream words(read_file(*options_.data / "function/english.words"));
  for (std::string word; std::getline(words, word);) sources_->function_words.insert(word);
  options_.words.prefixes = NonbreakingPrefixes(*options_.data / "nonbreaking/english.prefixes");
  if (std::find(options_.modules.begin(), options_.modules.end(), "synonym") !=
      options_.modules.end()) {
    sources_->synonyms.emplace(*options_.data / "synonym");
  }
}

MeteorLexicon::~MeteorLexicon() = default;

void MeteorLexicon::check_modules() const {
  static const std::vector<std::string> known = {"exact", "stem", "synonym"};
  const auto& modules = options_.modules;
  if (modules.empty()) fail("/modules: METEOR needs at least one of {}", fmt::join(known, ", "));
  for (size_t i = 0; i < modules.size(); ++i) {
    const std::string& name = modules[i];
    if (name == "paraphrase") {
      fail("/modules: METEOR's paraphrase matcher is not there; use {}", fmt::join(known, ", "));
    }
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      fail("/modules: {}", unknown("METEOR module", name, known));
    }
    if (std::find(modules.begin(), modules.begin() + static_cast<std::ptrdiff_t>(i), name) !=
        modules.begin() + static_cast<std::ptrdiff_t>(i)) {
      fail("/modules: \"{}\" is named twice", name);
    }
    if (name == "synonym" && !options_.data) {
      fail(
          "/data: METEOR's module synonym needs the folder of METEOR 1.5's resources "
          "(function/, nonbreaking/, synonym/); without one, set modules to exact and stem, which "
          "is not METEOR 1.5's score");
    }
  }
  if (!options_.words.punctuation && options_.words.normalize != MeteorWords::Normalize::full) {
    fail("/punctuation: false needs normalize \"full\"");
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

MeteorCandidates MeteorLexicon::candidates(std::span<const int> test,
                                           std::span<const int> reference) const {
  MeteorCandidates out(test.size(), reference.size());
  // The same words need one matcher only; more of them would only crowd the beam.
  const bool same = std::equal(test.begin(), test.end(), reference.begin(), reference.end());
  const size_t modules = same ? 1 : options_.modules.size();
  for (size_t m = 0; m < modules; ++m) {
    const std::string& name = options_.modules[m];
    const bool exact = name == "exact", stem = name == "stem";
    for (size_t j = 0; j < reference.size(); ++j) {
      const Word& wanted = info(reference[j]);
      for (size_t i = 0; i < test.size(); ++i) {
        const bool equal = test[i] == reference[j];
        if (equal != exact) continue;  // the other matchers match different words only
        const Word& word = info(test[i]);
        if (exact ||
            (stem ? word.stem == wanted.stem : intersect(word.synonyms, wanted.synonyms))) {
          out.add({.test = static_cast<int>(i),
                   .test_words = 1,
                   .reference = static_cast<int>(j),
                   .reference_words = 1,
                   .module = static_cast<int>(m),
                   .exact = exact});
        }
      }
    }
  }
  return out;
}

}  // namespace mtlora
