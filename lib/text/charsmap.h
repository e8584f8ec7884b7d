// The "precompiled_charsmap" of a SentencePiece model, read and used as Hugging Face does: a
// grapheme cluster of less than 6 bytes is looked up whole, and else its code points one by one;
// what is looked up is replaced by what belongs to the shortest key that it begins with.
// Layout: uint32 size of the trie in bytes, the trie, texts that end with NUL. The trie is a double
// array of uint32 units (darts-clone): bits 0-7 label, 8 whether a key ends here, 10-31 offset to
// the children (times 256 where bit 9 is set); of a leaf bits 0-30 are the place of its text.
// Source: spm_precompiled (tokenizers 0.23.3, normalizers/precompiled.rs); darts-clone 0.32.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

class Charsmap {
 public:
  /// Throws Error where `bytes` are no such table.
  explicit Charsmap(std::string_view bytes);
  /// Appends what becomes of `text`.
  void append(std::string_view text, std::string& out) const;

 private:
  std::optional<std::string_view> find(std::string_view text) const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

/// The bytes that Base64 stands for. Throws Error where it is none.
std::string from_base64(std::string_view text);

}  // namespace mtlora
