// Code points as Hugging Face `tokenizers` sees them: UTF-8, and the character classes of its
// BertNormalizer, BertPreTokenizer and ByteLevel pattern, and the normal forms. utf8proc gives
// categories and decompositions; where its Unicode version and the three that `tokenizers` carries
// (8 for categories, 10 for combining classes, 16 and newer for letters and lower case) part, the
// tables of unicode_tables.h decide as `tokenizers` 0.23.3 does.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/utf8.h"

namespace mtlora {

/// The code point at `at`, which moves behind it. `text` is valid UTF-8.
char32_t next_code_point(std::string_view text, size_t& at);
void append_utf8(char32_t c, std::string& out);
/// Columns of a terminal that the text takes: two for each wide character, none for a mark; its
/// bytes where it is not UTF-8.
size_t display_width(std::string_view text);

/// BertNormalizer's `clean_text` drops these: NUL, U+FFFD, controls, formats and private use.
/// Unassigned ones stay.
bool is_dropped(char32_t c);
/// White_Space of Unicode, as Rust's `char::is_whitespace` and `\s` have it.
bool is_whitespace(char32_t c);
/// An ideograph that BERT sets between spaces.
bool is_ideograph(char32_t c);
/// ASCII punctuation (symbols included) or category P of Unicode 8.
bool is_punctuation(char32_t c);
/// Category Mn of Unicode 8: what "strip accents" takes away.
bool is_nonspacing_mark(char32_t c);
/// \p{L} and \p{N} of the ByteLevel pattern.
bool is_letter(char32_t c);
bool is_number(char32_t c);

/// Canonical decomposition (NFD) of the whole text.
std::vector<char32_t> decompose(std::u32string_view text);
/// Compatibility decomposition (NFKD).
std::vector<char32_t> decompose_compatible(std::u32string_view text);
/// Canonical composition in place: what NFC does behind NFD, NFKC behind NFKD.
void compose(std::vector<char32_t>& text);

/// Moves `at` behind the extended grapheme cluster that begins there. `text` is valid UTF-8.
void next_grapheme(std::string_view text, size_t& at);

/// Appends the lower case of one code point, without context (U+0130 becomes two).
void append_lower(char32_t c, std::string& out);

}  // namespace mtlora
