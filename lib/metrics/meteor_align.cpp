// Three properties of METEOR 1.5's search that differ from the papers, and that its scores depend
// on: the words of matches that are not exact count half and rounded down, so a single stem or
// synonym counts nothing and is taken only where it saves a chunk; the distance of a match is added
// to the paths that come after it in the list, not to its own; and matches without a rival are
// fixed before the search.
#include "lib/metrics/meteor_align.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace mtlora {
namespace {

struct Path {
  int matched = 0, chunks = 0, distance = 0;
  int next = 0;       ///< the first word of the reference behind the last match
  int test_end = -1;  ///< the word of the output behind the last match, -1 behind a gap
  int last = -1;      ///< its last choice but `chosen`, see Search::choices_
  size_t used = 0;    ///< start of its set of used words but `chosen`'s, in Search::used_
  const MeteorMatch* chosen = nullptr;  ///< a choice that Search::keep_best has yet to record

  bool better_than(const Path& other) const {
    if (matched != other.matched) return matched > other.matched;
    if (chunks != other.chunks) return chunks < other.chunks;
    return distance < other.distance;
  }
};

int credit(const MeteorMatch& m) {
  return m.exact ? m.test_words + m.reference_words : m.test_words / 2 + m.reference_words / 2;
}

void sort_paths(std::vector<Path>& paths) {
  std::stable_sort(paths.begin(), paths.end(),
                   [](const Path& a, const Path& b) { return a.better_than(b); });
}

class Search {
 public:
  Search(const MeteorCandidates& candidates, int beam)
      : candidates_(candidates),
        beam_(static_cast<size_t>(beam)),
        set_size_((candidates.test_coverage.size() + 63) / 64),
        used_(set_size_),
        fixed_used_(candidates.matches.size()),
        fixed_(candidates.matches.size()) {
    fix_those_without_rival();
  }

  std::vector<std::optional<MeteorMatch>> best() {
    std::vector<Path> paths, next{Path{}};
    for (size_t i = 0; i < candidates_.matches.size(); ++i) {
      paths.swap(next);
      next.clear();
      keep_best(paths);
      for (const Path& path : paths) advance(path, static_cast<int>(i), next);
      if (next.empty()) next.push_back(paths.front());  // fixed matches overlap: go on behind them
    }
    keep_best(next);
    for (Path& path : next) path.chunks += path.test_end != -1 ? 1 : 0;
    sort_paths(next);
    auto matches = fixed_;
    for (int i = next.front().last; i >= 0; i = choices_[static_cast<size_t>(i)].before) {
      const MeteorMatch& match = *choices_[static_cast<size_t>(i)].match;
      matches[static_cast<size_t>(match.reference)] = match;
    }
    return matches;
  }

 private:
  struct Choice {
    const MeteorMatch* match;
    int before;
  };

  void fix_those_without_rival() {
    for (size_t i = 0; i < candidates_.matches.size(); ++i) {
      if (candidates_.matches[i].size() != 1) continue;
      const MeteorMatch& m = candidates_.matches[i][0];
      const auto alone = [](const std::vector<int>& coverage, int start, int words) {
        return std::all_of(coverage.begin() + start, coverage.begin() + start + words,
                           [](int n) { return n == 1; });
      };
      if (!alone(candidates_.reference_coverage, m.reference, m.reference_words) ||
          !alone(candidates_.test_coverage, m.test, m.test_words)) {
        continue;
      }
      fixed_[i] = m;
      for (int k = 0; k < m.reference_words; ++k) fixed_used_[i + static_cast<size_t>(k)] = 1;
      for (int k = 0; k < m.test_words; ++k) set_used(0, m.test + k);
    }
  }

  /// Sorts `paths`, leaves those within the beam and records what they chose. Only those: a text of
  /// one repeated word has as many candidates for every path as it has words.
  void keep_best(std::vector<Path>& paths) {
    sort_paths(paths);
    if (paths.size() > beam_) paths.resize(beam_);
    used_before_.swap(used_);
    used_.clear();
    for (Path& path : paths) {
      const auto set = used_before_.begin() + static_cast<std::ptrdiff_t>(path.used);
      path.used = used_.size();
      used_.insert(used_.end(), set, set + static_cast<std::ptrdiff_t>(set_size_));
      if (path.chosen) record(path, *std::exchange(path.chosen, nullptr));
    }
  }

  void record(Path& path, const MeteorMatch& m) {
    for (int k = 0; k < m.test_words; ++k) set_used(path.used, m.test + k);
    choices_.push_back({&m, path.last});
    path.last = static_cast<int>(choices_.size()) - 1;
  }

  bool is_used(size_t set, int word) const {
    return used_[set + static_cast<size_t>(word) / 64] >> (word % 64) & 1;
  }
  void set_used(size_t set, int word) {
    used_[set + static_cast<size_t>(word) / 64] |= uint64_t{1} << (word % 64);
  }
  bool reference_used(const Path& path, int word) const {
    return word < path.next || fixed_used_[static_cast<size_t>(word)] != 0;
  }
  bool is_free(const Path& path, const MeteorMatch& m) const {
    for (int k = 0; k < m.reference_words; ++k) {
      if (reference_used(path, m.reference + k)) return false;
    }
    for (int k = 0; k < m.test_words; ++k) {
      if (is_used(path.used, m.test + k)) return false;
    }
    return true;
  }

  static void take(Path& path, const MeteorMatch& m) {
    path.matched += credit(m);
    if (path.test_end != -1 && m.test != path.test_end) ++path.chunks;
    path.next = m.reference + m.reference_words;
    path.test_end = m.test + m.test_words;
  }

  /// Appends to `next` the ways in which `path` can go over word `i` of the reference.
  void advance(Path path, int i, std::vector<Path>& next) {
    if (reference_used(path, i)) {
      if (i >= path.next) {
        const auto& fixed = fixed_[static_cast<size_t>(path.next)];
        if (!fixed) return;
        take(path, *fixed);
        path.distance += std::abs(fixed->reference - fixed->test);
      }
      next.push_back(path);
      return;
    }
    for (const MeteorMatch& m : candidates_.matches[static_cast<size_t>(i)]) {
      if (!is_free(path, m)) continue;
      Path with = path;
      with.chosen = &m;
      take(with, m);
      path.distance += std::abs(m.reference - m.test);
      next.push_back(with);
    }
    if (path.test_end != -1) ++path.chunks;
    path.test_end = -1;
    ++path.next;
    next.push_back(path);
  }

  const MeteorCandidates& candidates_;
  size_t beam_, set_size_;
  // Sets of used words of the output, one behind the other: of the paths that were kept last, and
  // of those before them.
  std::vector<uint64_t> used_, used_before_;
  std::vector<char> fixed_used_;
  std::vector<std::optional<MeteorMatch>> fixed_;
  std::vector<Choice> choices_;
};

int count_chunks(const std::vector<std::optional<MeteorMatch>>& matches) {
  int chunks = 0, test_end = -1;
  for (size_t i = 0; i < matches.size();) {
    const auto& m = matches[i];
    if (m ? test_end != -1 && m->test != test_end : test_end != -1) ++chunks;
    test_end = m ? m->test + m->test_words : -1;
    i += m ? static_cast<size_t>(m->reference_words) : 1;
  }
  return chunks + (test_end != -1 ? 1 : 0);
}

}  // namespace

void MeteorCandidates::add(const MeteorMatch& match) {
  matches[static_cast<size_t>(match.reference)].push_back(match);
  for (int k = 0; k < match.test_words; ++k) ++test_coverage[static_cast<size_t>(match.test + k)];
  for (int k = 0; k < match.reference_words; ++k)
    ++reference_coverage[static_cast<size_t>(match.reference + k)];
}

MeteorAlignment meteor_align(const MeteorCandidates& candidates, int beam) {
  MeteorAlignment out;
  out.matches = Search(candidates, beam).best();
  out.chunks = count_chunks(out.matches);
  return out;
}

}  // namespace mtlora
