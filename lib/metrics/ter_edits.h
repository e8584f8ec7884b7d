// The edits of TER: insertions, deletions, substitutions and shifts of word sequences, found by
// tercom's greedy search. Edit distance is searched with a beam; then the one shift that lowers it
// most is made, as long as one does not make it worse.
//
// Snover, Dorr, Schwartz, Micciulla, Makhoul 2006, "A Study of Translation Edit Rate with Targeted
// Human Annotation"; which shifts are tried, and in what order, is tercom 0.7.25's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mtlora {

/// tercom's constants; only the beam and the distance can be set there.
struct TerLimits {
  int beam = 20;            ///< edits above a column's best at which a path is given up
  int shift_words = 10;     ///< words that are shifted together
  int shift_distance = 50;  ///< words that they are shifted over
};

/// A search with its own memory, to be used for many pairs. Words are numbers: equal words, equal
/// numbers.
class TerSearch {
 public:
  explicit TerSearch(TerLimits limits = {}) : limits_(limits) {}

  /// The edits that make `reference` of `hypothesis`. Throws Error where the beam is too narrow for
  /// any path.
  int edits(std::span<const int> hypothesis, std::span<const int> reference);

  /// Edit distances asked for so far: tercom's "number of calls to beam search".
  int64_t searches() const { return searches_; }

 private:
  struct Word {
    int number;
    size_t places;  ///< start of the places of the reference where it stands, in place_bits_
  };
  using Words = std::vector<Word>;
  /// 64 cells of a column of edit distances, as what they are 1 more and 1 less than the one over
  /// them.
  struct Block {
    uint64_t more, less;
  };
  enum class Step : char { none, match, substitute, insert, remove };
  struct Shift {
    int begin, end;  ///< the words [begin, end) of the hypothesis
    int after;       ///< go behind this word, -1: to the front
  };
  /// What is wrong where, read off the path of the last distance().
  struct Alignment {
    std::vector<char> hypothesis_wrong, reference_wrong;
    std::vector<int> position;  ///< of each reference word: its word of the hypothesis, or the last
                                ///< one before it, -1 where there is none
  };

  Words with_places(std::span<const int> hypothesis, std::span<const int> reference);
  int distance(const Words& hypothesis, std::span<const int> reference);
  void align(size_t hypothesis_words, size_t reference_words);
  void find_shifts(const Words& hypothesis, std::span<const int> reference);
  void find_shifts_from(int begin, const Words& hypothesis, std::span<const int> reference);
  void add_shifts(int begin, int end, int place);
  int least_distance(const Words& hypothesis, size_t reference_words);
  static Words shifted(const Words& words, const Shift& shift);
  bool within_reach(int begin, int end, int place) const;
  bool best_shift(Words& words, std::span<const int> reference, int& best);

  TerLimits limits_;
  int64_t searches_ = 0;
  std::vector<int> cost_;   // of the column that comes next, [reference words + 1]
  std::vector<Step> step_;  // column-major: [hypothesis words + 2][reference words + 1]
  Alignment alignment_;
  std::vector<std::vector<Shift>> shifts_;  ///< by words shifted together, less 1
  std::vector<int> places_;
  std::vector<uint64_t> place_bits_;  // a bit each: [hypothesis words][reference words / 64, up]
  std::vector<Block> blocks_;
};

}  // namespace mtlora
