#include "lib/text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "lib/core/error.h"

namespace mtlora {

StringIndex::StringIndex(size_t count) : slots_(std::bit_ceil(2 * count + 2)) {}

size_t StringIndex::slot(std::string_view text) const {
  const size_t mask = slots_.size() - 1;
  size_t at = std::hash<std::string_view>{}(text)&mask;
  while (slots_[at].id >= 0 && slots_[at].text != text) at = (at + 1) & mask;
  return at;
}

void StringIndex::set(std::string_view text, int32_t id) {
  slots_[slot(text)] = {text, id};
  longest_ = std::max(longest_, text.size());
}

int32_t StringIndex::find(std::string_view text) const {
  return slots_[slot(text)].id;
}

Vocabulary::Vocabulary(const std::vector<std::pair<std::string, int32_t>>& tokens)
    : index_(tokens.size()) {
  // Far beyond any real vocabulary; one stray id must not ask for all memory.
  constexpr int32_t kMaximum = 1 << 24;
  int32_t size = 0;
  for (const auto& [token, id] : tokens) {
    if (id < 0 || id >= kMaximum)
      fail("the vocabulary gives \"{}\" the id {}, which is not in 0 … {}", token, id,
           kMaximum - 1);
    size = std::max(size, id + 1);
  }
  tokens_.resize(static_cast<size_t>(size));
  has_.resize(static_cast<size_t>(size));
  for (const auto& [token, id] : tokens) {
    const auto at = static_cast<size_t>(id);
    if (has_[at])
      fail("the vocabulary gives the id {} to \"{}\" and \"{}\"", id, tokens_[at], token);
    tokens_[at] = token;
    has_[at] = true;
    index_.set(tokens_[at], id);
  }
}

bool Vocabulary::has(int32_t id) const {
  return id >= 0 && id < size() && has_[static_cast<size_t>(id)];
}

}  // namespace mtlora
