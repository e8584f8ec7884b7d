#include "lib/decoding/history.h"

#include <algorithm>
#include <utility>

#include "lib/core/random.h"

namespace mtlora::decoding {

History::History(int64_t ngram, std::span<const int32_t> tokens)
    : ngram_(static_cast<size_t>(ngram)), table_(ngram > 0 ? 64 : 0) {
  for (const int32_t token : tokens) add(token);
}

std::span<const int32_t> History::context(size_t end) const {
  return std::span(tokens_).subspan(end + 1 - ngram_, ngram_ - 1);
}

size_t History::hash(std::span<const int32_t> context) {
  uint64_t key = 0;
  for (const int32_t token : context) key = combine(key, static_cast<uint64_t>(token));
  return static_cast<size_t>(key);
}

void History::insert(int32_t place) {
  const size_t mask = table_.size() - 1;
  size_t slot = hash(context(static_cast<size_t>(place))) & mask;
  while (table_[slot] != 0) slot = (slot + 1) & mask;
  table_[slot] = place + 1;
}

void History::grow() {
  const std::vector<int32_t> old = std::exchange(table_, std::vector<int32_t>(2 * table_.size()));
  for (const int32_t entry : old)
    if (entry != 0) insert(entry - 1);
}

void History::add(int32_t token) {
  tokens_.push_back(token);
  if (ngram_ == 0 || tokens_.size() < ngram_) return;
  if (2 * ++used_ > table_.size()) grow();
  insert(static_cast<int32_t>(tokens_.size() - 1));
}

std::vector<int32_t> History::banned() const {
  std::vector<int32_t> found;
  if (ngram_ == 0 || tokens_.size() < ngram_) return found;
  const std::span<const int32_t> last = context(tokens_.size());
  const size_t mask = table_.size() - 1;
  for (size_t slot = hash(last) & mask; table_[slot] != 0; slot = (slot + 1) & mask) {
    const auto place = static_cast<size_t>(table_[slot] - 1);
    if (std::ranges::equal(context(place), last)) found.push_back(tokens_[place]);
  }
  return found;
}

}  // namespace mtlora::decoding
