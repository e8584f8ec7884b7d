// METEOR's alignment: of all matches between the words of an output (test) and a reference, the set
// that covers each word at most once and is best by, in this order, words matched exactly, fewest
// chunks, least distance of starts; found by a beam search from left to right of the reference.
//
// Denkowski, Lavie 2011, "Meteor 1.3", section 2; the search is METEOR 1.5's, with what its
// published scores depend on (see meteor_align.cpp).
#pragma once

#include <optional>
#include <vector>

namespace mtlora {

struct MeteorMatch {
  int test, test_words;            ///< start and length in the output
  int reference, reference_words;  ///< and in the reference
  int module;                      ///< index of the matcher that found it
  bool exact;                      ///< found by the matcher of equal words
};

/// Every match of a pair of texts.
struct MeteorCandidates {
  MeteorCandidates(size_t test_words, size_t reference_words)
      : matches(reference_words), test_coverage(test_words), reference_coverage(reference_words) {}
  void add(const MeteorMatch& match);

  std::vector<std::vector<MeteorMatch>> matches;       ///< by their start in the reference
  std::vector<int> test_coverage, reference_coverage;  ///< matches that cover a word
};

struct MeteorAlignment {
  std::vector<std::optional<MeteorMatch>> matches;  ///< by their start in the reference
  int chunks = 0;  ///< runs of matches that are next to each other in both texts
};

MeteorAlignment meteor_align(const MeteorCandidates& candidates, int beam);

}  // namespace mtlora
