#include "lib/metrics/ter_edits.h"

#include <algorithm>
#include <limits>

#include "lib/core/error.h"

namespace mtlora {
namespace {

constexpr int unset = -1;
constexpr int infinite = std::numeric_limits<int>::max() / 2;

size_t blocks_for(size_t reference_words) {
  return (reference_words + 63) / 64;
}

}  // namespace

int TerSearch::edits(std::span<const int> hypothesis, std::span<const int> reference) {
  Words words = with_places(hypothesis, reference);
  ++searches_;
  int left = distance(words, reference), shifts_made = 0;
  align(words.size(), reference.size());
  while (best_shift(words, reference, left)) ++shifts_made;
  return left + shifts_made;
}

TerSearch::Words TerSearch::with_places(std::span<const int> hypothesis,
                                        std::span<const int> reference) {
  const size_t blocks = blocks_for(reference.size());
  place_bits_.assign(hypothesis.size() * blocks, 0);
  Words words;
  words.reserve(hypothesis.size());
  for (const int number : hypothesis) {
    words.push_back({number, words.size() * blocks});
    uint64_t* bits = place_bits_.data() + words.back().places;
    for (size_t i = 0; i < reference.size(); ++i) {
      bits[i / 64] |= uint64_t{reference[i] == number} << (i % 64);
    }
  }
  return words;
}

/// `words` with [begin, end) behind the word `after`. Where `after` is one of the shifted words
/// themselves, they go as far to the right as it stands in them.
TerSearch::Words TerSearch::shifted(const Words& words, const Shift& shift) {
  const auto [begin, end, after] = shift;
  Words out = words;
  const auto at = [&](int i) { return out.begin() + i; };
  if (after < begin) {
    std::rotate(at(after + 1), at(begin), at(end));
  } else {
    const int inside = std::min(end - 1 + after - begin, static_cast<int>(words.size()) - 1);
    std::rotate(at(begin), at(end), at((after >= end ? after : inside) + 1));
  }
  return out;
}

/// The edit distance without beam: never above distance(), and 64 cells of a column are a dozen
/// instructions. Myers 1999, "A Fast Bit-Vector Algorithm for Approximate String Matching Based on
/// Dynamic Programming", in blocks, with the first row of Hyyrö 2003, "A Bit-Vector Algorithm for
/// Computing Levenshtein and Damerau Edit Distances".
int TerSearch::least_distance(const Words& hypothesis, size_t reference_words) {
  if (reference_words == 0) return 0;
  blocks_.assign(blocks_for(reference_words), {.more = ~uint64_t{0}, .less = 0});
  const size_t last = (reference_words - 1) % 64;
  int found = static_cast<int>(reference_words);
  for (const Word& word : hypothesis) {
    uint64_t more = 0, less = 0;  // cells of the block that are so than in the column before
    uint64_t more_over = 1, less_over = 0;  // whether the cell over the block is
    for (size_t b = 0; b < blocks_.size(); ++b) {
      Block& block = blocks_[b];
      const uint64_t places = place_bits_[word.places + b], same = places | less_over;
      const uint64_t diagonal = (((same & block.more) + block.more) ^ block.more) | same;
      more = block.less | ~(diagonal | block.more), less = block.more & diagonal;
      const uint64_t above_more = more << 1 | more_over, above_less = less << 1 | less_over;
      const uint64_t any = places | block.less;
      block = {.more = above_less | ~(any | above_more), .less = above_more & any};
      more_over = more >> 63, less_over = less >> 63;
    }
    found += static_cast<int>(more >> last & 1) - static_cast<int>(less >> last & 1);
  }
  return found;
}

/// The edit distance without shifts, by columns of one hypothesis word each; the beam prunes
/// against the best cost of a match or substitution into the column. Its bounds, and which of equal
/// steps is kept, decide the alignment, and so which shifts are tried.
int TerSearch::distance(const Words& hypothesis, std::span<const int> reference) {
  const int columns = static_cast<int>(hypothesis.size()),
            rows = static_cast<int>(reference.size());
  const auto height = static_cast<size_t>(rows) + 1;
  const size_t cells = height * (static_cast<size_t>(columns) + 2);  // the last column steps on
  if (step_.size() < cells) step_.resize(cells);
  cost_.resize(height);
  cost_[0] = 0;

  int over = infinite;                       // of the cell over the one that comes next
  int best = infinite, first = 0, last = 0;  // of the column that comes next
  for (int j = 0; j <= columns && first != unset; ++j) {
    const bool is_last = j == columns;
    const int limit = best == infinite || is_last ? infinite - 1 : best + limits_.beam;
    const int word = is_last ? unset : hypothesis[static_cast<size_t>(j)].number;
    const int begin = first, written = last;
    Step* step = step_.data() + static_cast<size_t>(j) * height;
    Step* next_step = step + height;
    Step diagonal_step = Step::none;
    int diagonal = infinite;  // of a match or substitution into the next column
    over = best = infinite, first = last = unset;
    for (int i = begin, end = written; i <= rows && i <= end; ++i) {
      int here = i <= written ? cost_[static_cast<size_t>(i)] : infinite;
      step[i] = over + 1 < here ? Step::remove : step[i];
      here = over = std::min(here, over + 1);  // below a cell out of the beam it is out as well
      if (here <= limit) {
        if (first == unset) first = i;
        last = i + 1;
        end = std::max(end, i + 1);
      } else {
        here = infinite;
      }
      const bool is_inserted = here + 1 < diagonal;
      cost_[static_cast<size_t>(i)] = is_inserted ? here + 1 : diagonal;
      next_step[i] = is_inserted ? Step::insert : diagonal_step;
      if (i == rows) break;
      const bool same = reference[static_cast<size_t>(i)] == word;
      diagonal = here + (same ? 0 : 1);
      diagonal_step = same ? Step::match : Step::substitute;
      best = std::min(best, diagonal);
    }
  }
  if (last != rows + 1)
    fail("TER: no path stays in a beam of {} edits; give a wider one", limits_.beam);
  return over;
}

void TerSearch::align(size_t hypothesis_words, size_t reference_words) {
  alignment_.hypothesis_wrong.assign(hypothesis_words, 0);
  alignment_.reference_wrong.assign(reference_words, 0);
  alignment_.position.assign(reference_words, unset);
  size_t i = reference_words, j = hypothesis_words;
  while (i > 0 || j > 0) {
    const Step step = i > 0 && j == 0 ? Step::remove
                      : i == 0        ? Step::insert
                                      : step_[j * (reference_words + 1) + i];
    const bool wrong = step != Step::match;
    const size_t word = j;  // those before it have been read, with it
    if (step != Step::remove) alignment_.hypothesis_wrong[--j] = wrong;
    if (step == Step::insert) continue;
    alignment_.reference_wrong[--i] = wrong;
    alignment_.position[i] = static_cast<int>(word) - 1;
  }
}

bool TerSearch::within_reach(int begin, int end, int place) const {
  const int position = alignment_.position[static_cast<size_t>(place)];
  const bool inside = position >= begin && position < end;
  return !inside && position - begin <= limits_.shift_distance &&
         begin - position <= limits_.shift_distance;
}

/// The places behind which [begin, end) may go so that it stands where the reference has it at
/// `place`.
void TerSearch::add_shifts(int begin, int end, int place) {
  const auto at = [&](int word) { return alignment_.position[static_cast<size_t>(word)]; };
  auto& shifts = shifts_[static_cast<size_t>(end - begin - 1)];
  for (int offset = -1; offset < end - begin; ++offset) {
    if (place + offset < 0) {
      shifts.push_back({begin, end, unset});
    } else if (begin != at(place + offset) && (offset == 0 || at(place + offset) != at(place))) {
      shifts.push_back({begin, end, at(place + offset)});
    }
  }
}

void TerSearch::find_shifts_from(int begin, const Words& hypothesis,
                                 std::span<const int> reference) {
  const auto word = [&](int i) { return hypothesis[static_cast<size_t>(i)].number; };
  const int words = static_cast<int>(hypothesis.size());
  places_.clear();
  for (size_t i = 0; i < reference.size(); ++i) {
    if (reference[i] == word(begin)) places_.push_back(static_cast<int>(i));
  }
  // One word further is allowed here than for the shifts below.
  const bool reachable = std::any_of(places_.begin(), places_.end(), [&](int place) {
    const int position = alignment_.position[static_cast<size_t>(place)];
    return position != begin && position - begin <= limits_.shift_distance &&
           begin - position - 1 <= limits_.shift_distance;
  });
  if (!reachable) return;
  bool wrong = false;
  for (int end = begin + 1; end <= std::min(words, begin + limits_.shift_words); ++end) {
    wrong = wrong || alignment_.hypothesis_wrong[static_cast<size_t>(end - 1)];
    std::erase_if(places_, [&](int place) {
      const auto there = static_cast<size_t>(place + end - 1 - begin);
      return there >= reference.size() || reference[there] != word(end - 1);
    });
    if (places_.empty()) return;
    if (!wrong) continue;
    bool longer = false;
    for (const int place : places_) {
      if (!within_reach(begin, end, place)) continue;
      longer = true;
      const auto from = alignment_.reference_wrong.begin() + place;
      if (std::any_of(from, from + (end - begin), [](char c) { return c != 0; })) {
        add_shifts(begin, end, place);
      }
    }
    if (!longer) return;
  }
}

void TerSearch::find_shifts(const Words& hypothesis, std::span<const int> reference) {
  shifts_.resize(static_cast<size_t>(limits_.shift_words));
  for (auto& shifts : shifts_) shifts.clear();
  for (int i = 0; i < static_cast<int>(hypothesis.size()); ++i) {
    find_shifts_from(i, hypothesis, reference);
  }
}

/// Makes the shift that leaves the fewest edits, if one saves what it costs; long ones are tried
/// first, and no shorter ones where those cannot save more. `left` is the edit distance.
bool TerSearch::best_shift(Words& words, std::span<const int> reference, int& left) {
  find_shifts(words, reference);
  const int before = left;
  int best = before;  // edits with the shift itself
  bool found = false;
  Words best_words;
  Alignment best_alignment;
  for (size_t length = shifts_.size(); length-- > 0;) {
    const int most = 2 * (static_cast<int>(length) + 1);
    const auto enough = [&] { return before - best > most || (found && before - best == most); };
    if (enough()) break;
    for (const Shift& shift : shifts_[length]) {
      if (enough()) break;
      Words tried = shifted(words, shift);
      ++searches_;
      const auto is_worse = [&](int edits) { return edits > best || (edits == best && found); };
      if (is_worse(least_distance(tried, reference.size()) + 1)) continue;
      const int edits = distance(tried, reference) + 1;
      if (is_worse(edits)) continue;
      best = edits, found = true;
      align(tried.size(), reference.size());
      best_alignment = alignment_;
      best_words = std::move(tried);
    }
  }
  if (!found) return false;
  words = std::move(best_words);
  alignment_ = std::move(best_alignment);
  left = best - 1;
  return true;
}

}  // namespace mtlora
