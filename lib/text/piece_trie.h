// A tree of strings by their bytes, for finding every one of them that a text begins with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mtlora {

class PieceTrie {
 public:
  PieceTrie() = default;
  /// Of two strings that are equal the later one counts; an empty one is never found.
  explicit PieceTrie(std::vector<std::pair<std::string_view, int32_t>> strings);

  /// Calls `found(length in bytes, id)` for every string that `text` begins with, the shortest
  /// first.
  template <class Found>
  void prefixes(std::string_view text, const Found& found) const {
    const Node* node = nodes_.data();
    for (size_t length = 1; length <= text.size(); ++length) {
      node = child(*node, static_cast<unsigned char>(text[length - 1]));
      if (!node) return;
      if (node->id >= 0) found(length, node->id);
    }
  }

 private:
  struct Node {
    uint32_t first_child = 0;
    uint16_t children = 0;
    unsigned char byte = 0;
    int32_t id = -1;
  };
  const Node* child(const Node& node, unsigned char byte) const;

  std::vector<Node> nodes_{Node{}};  // the root; children lie together, sorted by their bytes
};

}  // namespace mtlora
