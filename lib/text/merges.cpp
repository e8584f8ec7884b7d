#include "lib/text/merges.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <tuple>

#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

constexpr uint64_t kNoPair = ~uint64_t{0};

uint64_t pair_of(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

// A token of a word while it is merged, in a list linked both ways.
struct Symbol {
  int32_t id, previous, next;
  bool gone = false;
};

// A merge that was possible when it was queued. Ordered by rank, then place.
struct Candidate {
  int32_t rank, at, id;
  bool operator>(const Candidate& other) const {
    return std::tie(rank, at) > std::tie(other.rank, other.at);
  }
};

}  // namespace

MergeTable::MergeTable(const Merges& merges, const Vocabulary& vocabulary)
    : slots_(std::bit_ceil(2 * merges.size() + 2), Slot{kNoPair, {}}) {
  int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    const auto id = [&](const std::string& token) {
      const int32_t found = vocabulary.find(token);
      if (found < 0)
        fail(
            "the merge \"{} {}\" (number {}) needs the token \"{}\", which the vocabulary does not "
            "have",
            left, right, rank + 1, token);
      return found;
    };
    const uint64_t pair = pair_of(id(left), id(right));
    slots_[slot(pair)] = {pair, {rank, id(left + right)}};
    ++rank;
  }
}

size_t MergeTable::slot(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  size_t at = mix64(pair) & mask;
  while (slots_[at].pair != kNoPair && slots_[at].pair != pair) at = (at + 1) & mask;
  return at;
}

const MergeTable::Merge* MergeTable::find(int32_t left, int32_t right) const {
  const Slot& found = slots_[slot(pair_of(left, right))];
  return found.pair == kNoPair ? nullptr : &found.merge;
}

void MergeTable::merge(size_t begin, std::vector<int32_t>& ids) const {
  thread_local std::vector<Symbol> symbols;
  thread_local std::vector<Candidate> heap;
  symbols.clear();
  heap.clear();
  const auto count = static_cast<int32_t>(ids.size() - begin);
  const auto symbol = [&](int32_t at) -> Symbol& { return symbols[static_cast<size_t>(at)]; };
  const auto queue = [&](int32_t left, int32_t right) {
    if (left < 0 || right >= count) return;
    if (const auto* merge = find(symbol(left).id, symbol(right).id)) {
      heap.push_back({merge->rank, left, merge->id});
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };
  for (int32_t at = 0; at < count; ++at)
    symbols.push_back({ids[begin + static_cast<size_t>(at)], at - 1, at + 1});
  for (int32_t at = 0; at + 1 < count; ++at) queue(at, at + 1);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Candidate top = heap.back();
    heap.pop_back();
    Symbol& left = symbol(top.at);
    if (left.gone || left.next >= count) continue;
    // The pair may have changed since. As in Hugging Face, what counts is that it still gives this
    // token, even by another merge.
    Symbol& right = symbol(left.next);
    const auto* merge = find(left.id, right.id);
    if (!merge || merge->id != top.id) continue;
    left.id = top.id;
    left.next = right.next;
    right.gone = true;
    if (right.next < count) symbol(right.next).previous = top.at;
    queue(left.previous, top.at);
    queue(top.at, left.next);
  }
  ids.resize(begin);
  for (int32_t at = 0; at < count; at = symbol(at).next) ids.push_back(symbol(at).id);
}

}  // namespace mtlora
