#include "lib/adapters/ranks.h"

#include "lib/adapters/layer_names.h"
#include "lib/core/error.h"

namespace mtlora {
namespace {

template <class T>
T value_of(const Names& names, const ByName<T>& patterns, T otherwise) {
  for (const auto& [pattern, value] : patterns)
    if (goes_by(names, pattern)) return value;
  return otherwise;
}

std::string fits_none(const std::string& pattern, const std::vector<Names>& parts) {
  const std::string meant = nearest_name(pattern, parts);
  return fmt::format("\"{}\" names none of the adapted layers{}", pattern,
                     meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant));
}

// Adds every pattern that would be ignored. Whether there is one that fits no part at all.
template <class T>
bool find_ignored(const char* option, const ByName<T>& patterns, const std::vector<Names>& parts,
                  Problems& problems) {
  bool any_fits_none = false;
  std::vector<bool> is_taken(parts.size());  // by a pattern before
  for (const auto& [pattern, value] : patterns) {
    bool fits = false, counts = false;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (!goes_by(parts[i], pattern)) continue;
      fits = true;
      counts = counts || !is_taken[i];
      is_taken[i] = true;
    }
    if (counts) continue;
    any_fits_none = any_fits_none || !fits;
    problems.add(fmt::format(
        "/adapter/method/{}: {}", option,
        fits ? fmt::format("\"{}\" stands behind patterns that name all its layers, and the first "
                           "counts; put it before them",
                           pattern)
             : fits_none(pattern, parts)));
  }
  return any_fits_none;
}

}  // namespace

void RankOptions::fields(Fields& f) {
  f("rank", rank, "Rank of the change.", at_least(1));
  f("alpha", alpha, "The change is scaled by alpha / rank.", positive());
  f("rank_pattern", rank_pattern,
    "Other ranks for some of the adapted layers, such as {\"value\": 4}: names and patterns as in "
    "adapter.targets, of which the first that fits a layer counts.",
    at_least(1));
  f("alpha_pattern", alpha_pattern,
    "Other alphas in the same way; a layer's change is scaled by its own alpha and rank.",
    positive());
}

RankAndAlpha RankOptions::of(const AdaptedLayer& layer, const Part& part) const {
  const Names names = layer.names_of(part);
  return {value_of(names, rank_pattern, rank), value_of(names, alpha_pattern, alpha)};
}

void RankOptions::check(const std::vector<AdaptedLayer>& adapted) const {
  std::vector<Names> parts;
  for (const AdaptedLayer& layer : adapted)
    for (const Part& part : layer.parts) parts.push_back(layer.names_of(part));
  Problems problems;
  const bool of_ranks = find_ignored("rank_pattern", rank_pattern, parts, problems);
  const bool of_alphas = find_ignored("alpha_pattern", alpha_pattern, parts, problems);
  if (problems.empty()) return;
  fail("{}{}", problems.text(), of_ranks || of_alphas ? "\n" + naming_help(parts) : "");
}

}  // namespace mtlora
