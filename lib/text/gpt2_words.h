// Cuts a text into the words that byte-level BPE merges within, by GPT-2's pattern (Radford et al.
// 2019, encoder.py; Hugging Face's ByteLevel pre-tokenizer):
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Written out by hand: a code point's class is one table look-up for ASCII.
#pragma once

#include <cstddef>
#include <string_view>

namespace mtlora {

/// The end of the word that begins at `begin` < text.size(); `text` is valid UTF-8.
size_t gpt2_word_end(std::string_view text, size_t begin);

/// The end of the piece that begins at `begin` < text.size() where every number sign is a piece of
/// its own: Hugging Face's Digits pre-tokenizer with "individual_digits", llama.cpp's "\\p{N}".
size_t digits_piece_end(std::string_view text, size_t begin);

}  // namespace mtlora
