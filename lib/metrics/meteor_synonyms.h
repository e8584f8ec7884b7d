// WordNet's synonym sets as METEOR carries them: words that share a set are synonyms.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/core/files.h"

namespace mtlora {

class MeteorSynonyms {
 public:
  /// Reads `english.synsets` and `english.exceptions` of a folder: each a line a word and below it
  /// its sets' numbers, or its irregular forms. Throws Error where they are not that.
  explicit MeteorSynonyms(const std::filesystem::path& folder);

  /// The sets of a word and of its base form, ascending.
  std::vector<int> sets(const std::string& word) const;

 private:
  void add_sets(std::string_view word, std::vector<int>& out) const;
  std::string base_form(const std::string& word) const;

  MappedFile synsets_, exceptions_;
  std::unordered_map<std::string_view, std::string_view> sets_;
  std::unordered_map<std::string_view, std::vector<std::string_view>> bases_;
};

}  // namespace mtlora
