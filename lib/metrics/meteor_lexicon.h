// What METEOR knows about words: which are equal, have one stem or are synonyms, which phrases are
// paraphrases, and which words are function words. Each distinct word of a corpus is looked up
// once.
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
    std::vector<std::string> modules;           ///< of known_modules()
    MeteorWords words;                          ///< its prefixes are read from `data`
  };
  /// exact, stem, synonym, paraphrase: METEOR's matchers in its order.
  static const std::vector<std::string>& known_modules();
  /// Those that work with what is in the folder `data`: paraphrase needs paraphrase-en.gz there.
  static std::vector<std::string> modules_of(const std::filesystem::path& data);

  /// Throws Error for modules that do not exist, are named twice, or need a `data` that is not
  /// given or lacks what they need.
  explicit MeteorLexicon(Options options);
  ~MeteorLexicon();

  /// The words of a text, numbered.
  std::vector<int> encode(std::string_view text);
  /// To be called behind the last encode(): reads the paraphrases of the words that there are.
  void read_paraphrases();

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
  bool has(std::string_view module) const;
  void check_modules() const;
  void check_data() const;
  void add_word_pairs(int module, MeteorCandidates& out, std::span<const int> test,
                      std::span<const int> reference) const;
  void add_paraphrases(int module, MeteorCandidates& out, std::span<const int> test,
                       std::span<const int> reference) const;

  Options options_;
  std::unique_ptr<Sources> sources_;
  std::unordered_map<std::string, int> numbers_, stems_;
  std::vector<Word> words_;
};

}  // namespace mtlora
