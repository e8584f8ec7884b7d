// METEOR's paraphrase table: pairs of phrases of equal meaning, extracted from parallel texts
// (Denkowski, Lavie 2010, "METEOR-NEXT and the METEOR Paraphrase Tables").
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mtlora {

class MeteorParaphrases {
 public:
  /// Reads METEOR's paraphrase-en.gz: three lines a pair, its probability and the two phrases,
  /// words separated by spaces. Only pairs whose words all have numbers in `words` are kept: others
  /// can match nothing. Throws Error where the file is not that.
  MeteorParaphrases(const std::filesystem::path& file,
                    const std::unordered_map<std::string, int>& words);

  /// Calls visit(length, phrase) for every pair whose first phrase is the `length` words of `text`
  /// from `start` on; `phrase` is the second. Shorter ones come first, then in the table's order.
  template <class Visit>
  void each(std::span<const int> text, size_t start, const Visit& visit) const {
    int state = 0;
    for (size_t end = start; end < text.size(); ++end) {
      const auto next = steps_.find(step(state, text[end]));
      if (next == steps_.end()) return;
      state = next->second;
      for (const int pair : ends_[static_cast<size_t>(state)]) {
        visit(end - start + 1, std::span<const int>(phrases_[static_cast<size_t>(pair)]));
      }
    }
  }

  size_t size() const { return phrases_.size(); }

 private:
  using Numbers = std::unordered_map<std::string_view, int>;

  void add(std::string_view phrase, std::string_view paraphrase, const Numbers& words);
  static uint64_t step(int state, int word) {
    return uint64_t{static_cast<uint32_t>(state)} << 32 | static_cast<uint32_t>(word);
  }

  // A trie of the first phrases: (state, word) -> state, and the pairs that end at a state.
  std::unordered_map<uint64_t, int> steps_;
  std::vector<std::vector<int>> ends_{1};
  std::vector<std::vector<int>> phrases_;  // the second phrases
};

}  // namespace mtlora
