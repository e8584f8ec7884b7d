// Text as the scorers take it apart: code points, lower case, Python's word characters, words
// between spaces. (lib/text has functions of the same names that follow a tokenizer's Unicode.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtlora::scoring {

/// The code points of UTF-8 text. A byte that belongs to none stands for itself, as in Latin-1.
std::u32string code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);

char32_t lower(char32_t c);
bool is_letter(char32_t c);
bool is_upper(char32_t c);
/// A mark that combines with the letter before it.
bool is_mark(char32_t c);
/// Python's \w: letters, numbers of every kind and the underscore.
bool is_word_character(char32_t c);
/// Python's \s.
bool is_space(char32_t c);

/// Python's str.lower(), but for the final sigma of Greek.
std::string lower_cased(std::string_view text);
/// A to Z only, as Perl has it for bytes.
std::string ascii_lower_cased(std::string_view text);
/// Every character that is no word character becomes a word of its own: `re.split('(\W)', text)`,
/// joined by single spaces. The WebNLG and DART scores of LoRA are of such text.
std::string split_at_non_words(std::string_view text);

/// The words between spaces, tabs and line ends (ASCII white space).
std::vector<std::string> words_of(std::string_view text);
/// The words between spaces of any kind, as Python's str.split() has them.
std::vector<std::string> unicode_words_of(std::string_view text);

}  // namespace mtlora::scoring
