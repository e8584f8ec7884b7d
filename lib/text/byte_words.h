// Cuts a text into the words that byte-level BPE merges within, by the patterns that models are
// trained with. Written out by hand: a code point's class is one table look-up for ASCII.
#pragma once

#include <cstddef>
#include <string_view>

namespace mtlora {

/// GPT-2's (Radford et al. 2019, encoder.py; Hugging Face's ByteLevel pre-tokenizer):
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// The end of the word that begins at `begin` < text.size(); `text` is valid UTF-8.
size_t gpt2_word_end(std::string_view text, size_t begin);

/// Llama 3's (Meta's tokenizer.py; the Split of its tokenizer.json).
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// The same of it.
size_t llama3_word_end(std::string_view text, size_t begin);

/// The end of the piece that begins at `begin` < text.size() where every number sign is a piece of
/// its own: Hugging Face's Digits pre-tokenizer with "individual_digits", llama.cpp's "\\p{N}".
size_t digits_piece_end(std::string_view text, size_t begin);

}  // namespace mtlora
