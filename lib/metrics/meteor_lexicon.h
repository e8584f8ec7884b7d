// What METEOR knows about words: which are equal, have one stem or are synonyms, and which are
// function words. Each distinct word of a corpus is looked up once.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/metrics/meteor_align.h"
#include "lib/metrics/meteor_words.h"

namespace mtlora {

class MeteorLexicon {
 public:
  struct Options {
    std::optional<std::filesystem::path> data;  ///< METEOR's resources
    std::vector<std::string> modules;           ///< of exact, stem, synonym
    MeteorWords words;                          ///< its prefixes are read from `data`
  };
  /// Throws Error for modules that do not exist, are named twice, or need a `data` that is not
  /// given.
  explicit MeteorLexicon(Options options);
  ~MeteorLexicon();

  /// The words of a text, numbered.
  std::vector<int> encode(std::string_view text);

  bool is_function_word(int word) const { return info(word).is_function_word; }
  /// All matches of the two texts' words, of encode().
  MeteorCandidates candidates(std::span<const int> test, std::span<const int> reference) const;

 private:
  struct Word {
    int stem = 0;
    bool is_function_word = false;
    std::vector<int> synonyms;  ///< sets, ascending
  };
  struct Sources;

  const Word& info(int word) const { return words_[static_cast<size_t>(word)]; }
  Word look_up(const std::string& word);
  void check_modules() const;

  Options options_;
  std::unique_ptr<Sources> sources_;
  std::unordered_map<std::string, int> numbers_, stems_;
  std::vector<Word> words_;
};

}  // namespace mtlora
