#include "lib/core/error.h"

#include <algorithm>

namespace mtlora {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replace}));
    }
  }
  return row.back();
}

}  // namespace

void require_one_of(const GivenOption& first, const GivenOption& second) {
  if (first.is_given != second.is_given) return;
  throw UsageError(
      first.is_given ? fmt::format("only one of {} and {} can be given", first.usage, second.usage)
                     : fmt::format("one of {} and {} is needed", first.usage, second.usage));
}

std::string nearest(std::string_view given, const std::vector<std::string>& known) {
  const auto best = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(given, a) < edit_distance(given, b);
  });
  const bool near = best != known.end() && edit_distance(given, *best) <= 1 + given.size() / 4;
  return near ? *best : "";
}

std::string unknown(std::string_view kind, std::string_view given,
                    const std::vector<std::string>& known) {
  const std::string meant = nearest(given, known);
  if (!meant.empty())
    return fmt::format("unknown {} \"{}\"; did you mean \"{}\"?", kind, given, meant);
  return fmt::format("unknown {} \"{}\"; known: {}", kind, given, fmt::join(known, ", "));
}

void Problems::add(std::string message) {
  if (++count_ <= limit_) shown_.push_back(std::move(message));
}

std::string Problems::text() const {
  std::string text = fmt::format("{}", fmt::join(shown_, "\n"));
  if (count_ > limit_) text += fmt::format("\n… and {} more", count_ - limit_);
  return text;
}

void Problems::raise(std::string_view heading) const {
  if (empty()) return;
  throw Error(heading.empty() ? text() : fmt::format("{}\n{}", heading, text()));
}

}  // namespace mtlora
