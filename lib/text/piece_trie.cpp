#include "lib/text/piece_trie.h"

#include <algorithm>

namespace mtlora {

PieceTrie::PieceTrie(std::vector<std::pair<std::string_view, int32_t>> strings) {
  std::stable_sort(strings.begin(), strings.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // The strings below each node, in the nodes' order: breadth first.
  std::vector<std::pair<size_t, size_t>> below = {{0, strings.size()}};
  size_t depth = 0, level_end = 1;
  for (size_t at = 0; at < nodes_.size(); ++at) {
    if (at == level_end) {
      ++depth;
      level_end = nodes_.size();
    }
    auto [begin, end] = below[at];
    for (; begin < end && strings[begin].first.size() == depth; ++begin)
      if (depth > 0) nodes_[at].id = strings[begin].second;
    nodes_[at].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char byte = strings[begin].first[depth];
      const size_t from = begin;
      while (begin < end && strings[begin].first[depth] == byte) ++begin;
      below.emplace_back(from, begin);
      nodes_.push_back({.byte = static_cast<unsigned char>(byte)});
      ++nodes_[at].children;
    }
  }
}

const PieceTrie::Node* PieceTrie::child(const Node& node, unsigned char byte) const {
  const Node* const begin = nodes_.data() + node.first_child;
  const Node* const end = begin + node.children;
  const Node* const at =
      std::lower_bound(begin, end, byte, [](const Node& a, unsigned char b) { return a.byte < b; });
  return at != end && at->byte == byte ? at : nullptr;
}

}  // namespace mtlora
