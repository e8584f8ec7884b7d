// METEOR 1.5's Normalizer for English. Each step goes through the line from left to right and does
// not look again at characters that it has consumed, so "a-b-c" becomes "a b-c": that is what its
// published scores were computed with.
#include "lib/metrics/meteor_words.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "lib/core/error.h"
#include "lib/core/files.h"

namespace mtlora {
namespace {

constexpr char32_t run_dot = 0x110000;  // a dot of "...", until the end kept from the other steps

bool is_digit(char32_t c) {
  return c >= '0' && c <= '9';
}
bool is_alpha(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  static constexpr std::array<Range, 12> ranges{{{'A', 'Z'},
                                                 {'a', 'z'},
                                                 {0xC0, 0xD6},
                                                 {0xD8, 0xF6},
                                                 {0xF8, 0x17E},
                                                 {0x178, 0x178},
                                                 {0x400, 0x4FF},
                                                 {0x500, 0x527},
                                                 {0xA640, 0xA66E},
                                                 {0xA67E, 0xA697},
                                                 {0x1D00, 0x1D7F},
                                                 {0x160, 0x161}}};
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](Range r) { return c >= r.first && c <= r.last; });
}
bool is_alnum(char32_t c) {
  return is_digit(c) || is_alpha(c);
}
bool is_ascii_space(char32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
/// What ends a word; the vertical tab does not.
bool is_delimiter(char32_t c) {
  return is_ascii_space(c) && c != '\v';
}
/// Unicode's other spaces, which come out as words of their own and are then taken for spaces.
bool is_wide_space(char32_t c) {
  return c == 0xA0 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::u32string decode(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  for (utf8proc_ssize_t at = 0; at < size;) {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t read = utf8proc_iterate(bytes + at, size - at, &c);
    if (read < 0) fail("METEOR: byte {} of a text is not UTF-8: {}", at, text);
    out.push_back(static_cast<char32_t>(c));
    at += read;
  }
  return out;
}

void append(std::string& out, char32_t c) {
  utf8proc_uint8_t encoded[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), encoded);
  out.append(reinterpret_cast<const char*>(encoded), static_cast<size_t>(size));
}

std::string encode(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append(out, c == run_dot ? U'.' : c);
  return out;
}

void lower(std::u32string& text) {
  for (char32_t& c : text) {
    if (c != run_dot) c = static_cast<char32_t>(utf8proc_tolower(static_cast<int32_t>(c)));
  }
}

/// Replaces `middle` by `replacement` wherever it stands between a character for which `left`
/// holds and one for which `right` does.
template <class Left, class Right>
void replace_between(std::u32string& line, Left left, char32_t middle, Right right,
                     std::u32string_view replacement) {
  if (line.find(middle) == std::u32string::npos) return;
  std::u32string out;
  out.reserve(line.size() + 8);
  size_t i = 0;
  while (i < line.size()) {
    out.push_back(line[i]);
    if (i + 2 < line.size() && line[i + 1] == middle && left(line[i]) && right(line[i + 2])) {
      out.append(replacement).push_back(line[i + 2]);
      i += 3;
    } else {
      ++i;
    }
  }
  line = std::move(out);
}

/// A line between spaces, with spaces around every character that is no part of words and around
/// every run of dots.
std::u32string separate(std::u32string_view text) {
  constexpr std::u32string_view joined = U".'`,-\u2018\u2019";
  std::u32string out = U" ";
  const auto put = [&](char32_t c) {
    if (is_alnum(c) || is_ascii_space(c) || joined.find(c) != std::u32string_view::npos) {
      out.push_back(c);
    } else {
      out.append({U' ', c, U' '});
    }
  };
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && text[end] == '.') ++end;
    if (end - i > 1) {
      out.append(U" ").append(end - i, run_dot).append(U" ");
      i = end;
    } else {
      put(text[i++]);
    }
  }
  out.push_back(' ');
  return out;
}

void unify_quotes_and_dashes(std::u32string& line) {
  for (char32_t& c : line) {
    if (c == '`' || c == 0x2018 || c == 0x2019) c = '\'';
    if (c == 0x2013) c = '-';
  }
  std::u32string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool twice = i + 1 < line.size() && line[i + 1] == line[i];
    if (line[i] == 0x201C || line[i] == 0x201D || (line[i] == '\'' && twice)) {
      i += line[i] == '\'' ? 1 : 0;
      out.append(U" \" ");
    } else {
      out.push_back(line[i]);
    }
  }
  line.clear();
  for (size_t i = 0; i < out.size(); ++i) {
    line.push_back(out[i]);
    if (out[i] == '-' && i + 1 < out.size() && out[i + 1] == '-') ++i;
  }
}

void split_commas(std::u32string& line) {
  const auto other = [](char32_t c) { return !is_digit(c); };
  replace_between(line, other, ',', other, U" , ");
  replace_between(line, is_digit, ',', other, U" , ");
  replace_between(line, other, ',', is_digit, U" , ");
}

void split_apostrophes(std::u32string& line) {
  const auto other = [](char32_t c) { return !is_alpha(c); };
  const auto no_word = [](char32_t c) { return !is_alnum(c); };
  replace_between(line, other, '\'', other, U" ' ");
  replace_between(line, no_word, '\'', is_alpha, U" ' ");
  replace_between(line, is_alpha, '\'', other, U" ' ");
  replace_between(line, is_alpha, '\'', is_alpha, U" '");
  replace_between(
      line, is_digit, '\'', [](char32_t c) { return c == 's'; }, U" '");
}

std::vector<std::u32string> split(std::u32string_view line) {
  std::vector<std::u32string> words;
  for (size_t i = 0; i < line.size();) {
    size_t end = i;
    while (end < line.size() && !is_delimiter(line[end])) ++end;
    if (end > i) words.emplace_back(line.substr(i, end - i));
    i = end + 1;
  }
  return words;
}

/// Appends `word`, and its dot as a word of its own where it ends a sentence; an abbreviation loses
/// its dots. `next` is the word behind it, empty at the end.
void append_word(std::u32string& out, std::u32string word, std::u32string_view next,
                 const NonbreakingPrefixes& prefixes) {
  out.push_back(' ');
  if (word.size() == 1 || word.back() != '.') {
    out.append(word);
    return;
  }
  const std::u32string stem = word.substr(0, word.size() - 1);
  using When = NonbreakingPrefixes::When;
  const When when = prefixes.when(encode(stem));
  const char32_t first = next.empty() ? U' ' : next[0];
  if (stem.find('.') != std::u32string::npos && std::any_of(stem.begin(), stem.end(), is_alpha)) {
    std::erase(word, '.');
    out.append(word);
  } else if (when == When::always || (first >= 'a' && first <= 'z') ||
             (when == When::before_number && is_digit(first))) {
    out.append(word);
  } else {
    out.append(stem).append(U" .");
  }
}

std::u32string normalize(std::u32string_view text, const MeteorWords& options) {
  std::u32string line = separate(text);
  split_commas(line);
  unify_quotes_and_dashes(line);
  const auto before_dash = [](char32_t c) { return is_alnum(c) || c == '.'; };
  replace_between(line, before_dash, '-', is_alnum, U" ");
  split_apostrophes(line);
  const std::vector<std::u32string> words = split(line);
  std::u32string out;
  for (size_t i = 0; i < words.size(); ++i) {
    append_word(out, words[i], i + 1 < words.size() ? words[i + 1] : U"", options.prefixes);
  }
  for (char32_t& c : out) {
    if (is_wide_space(c) || (!options.punctuation && !is_alnum(c))) c = ' ';
  }
  return out;
}

}  // namespace

NonbreakingPrefixes::NonbreakingPrefixes(const std::filesystem::path& file) {
  std::istringstream in(read_file(file));
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string prefix, mark;
    if (!(words >> prefix) || prefix[0] == '#') continue;
    words >> mark;
    prefixes_[prefix] = mark == "#NUMERIC_ONLY#" ? When::before_number : When::always;
  }
}

NonbreakingPrefixes::When NonbreakingPrefixes::when(const std::string& word) const {
  const auto found = prefixes_.find(word);
  return found == prefixes_.end() ? When::never : found->second;
}

std::string meteor_lower(std::string_view text) {
  std::u32string out = decode(text);
  lower(out);
  return encode(out);
}

std::vector<std::string> MeteorWords::operator()(std::string_view text) const {
  std::u32string line = decode(text);
  if (normalize == Normalize::full) line = mtlora::normalize(line, *this);
  if (normalize != Normalize::none) lower(line);
  std::vector<std::string> words;
  for (const auto& word : split(line)) words.push_back(encode(word));
  return words;
}

}  // namespace mtlora
