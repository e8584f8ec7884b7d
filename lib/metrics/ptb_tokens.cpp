// The rules were written from what the tokenizer does with texts made to probe it. Of the 89,002
// different texts of E2E, WebNLG and DART, 54 get other words: most of them end in a single letter
// and a full stop ("Serie B."), which the tokenizer reads by the line that happens to follow. At
// every place the longest match of all rules is the next token, as in the generated lexer that is
// imitated. Left out: HTML tags, web addresses, emoticons, rare currency and fraction signs.
#include "lib/metrics/ptb_tokens.h"

#include <algorithm>
#include <set>

#include "lib/metrics/ptb_abbreviations.h"
#include "lib/metrics/score_text.h"

namespace mtlora {
namespace {

using namespace scoring;

const PtbWordSet kClitics = {"s", "m", "d", "re", "ve", "ll", "n", "em", "til", "till", "cause"};
const std::string kRightQuote = "\u2019";
const PtbWordSet kPunctuation = {"''", "'", "``", "`",  ".",   "?", "!",
                                 ",",  ":", "-",  "--", "...", ";"};

bool is_digit(char32_t c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char32_t c) {
  return is_letter(c) || is_mark(c) || is_digit(c);
}
bool is_apostrophe(char32_t c) {
  return c == '\'' || c == 0x92 || c == 0x2019;
}
bool is_ascii_letter(char32_t c) {
  return c < 0x80 && is_letter(c);
}
bool is_vowel(char32_t c) {
  return std::u32string_view(U"aeiou").find(lower(c)) != std::u32string_view::npos;
}

std::string without_entities(std::string_view text) {
  static constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&amp;", "&"}};
  std::string out(text);
  if (out.find('&') == std::string::npos) return out;
  for (const auto& [entity, sign] : kEntities)
    for (size_t i = 0; (i = out.find(entity, i)) != std::string::npos; ++i)
      out.replace(i, entity.size(), sign);
  return out;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(code_points(without_entities(text))) {}

  std::vector<std::string> words() {
    for (size_t i = 0; i < text_.size();) {
      const size_t length = longest(i);
      // What no rule reads is a space, or a sign that the tokenizer leaves out or lets stand alone.
      if (length > 0)
        add(lowered(i, i + length));
      else
        add(symbol(text_[i]));
      i += std::max<size_t>(length, 1);
    }
    return std::move(words_);
  }

 private:
  char32_t at(size_t i) const { return i < text_.size() ? text_[i] : U'\n'; }

  std::string lowered(size_t begin, size_t end) const {
    return lower_cased(to_utf8(std::u32string_view(text_).substr(begin, end - begin)));
  }

  void add(std::string word) {
    static const std::set<std::string> halves = {"cannot", "gonna", "gotta", "wanna"};
    if (word.empty() || kPunctuation.contains(word)) return;
    if (word.starts_with(kRightQuote) || word == "n" + kRightQuote + "t")
      word.replace(word.find(kRightQuote), kRightQuote.size(), "'");
    if (halves.contains(word)) {
      words_.push_back(word.substr(0, 3));
      word = word.substr(3);
    }
    words_.push_back(std::move(word));
  }

  static std::string symbol(char32_t c) {
    switch (c) {
      case '(':
        return "-lrb-";
      case ')':
        return "-rrb-";
      case '[':
        return "-lsb-";
      case ']':
        return "-rsb-";
      case '{':
        return "-lcb-";
      case '}':
        return "-rcb-";
      case 0xA3:
        return "#";
      case 0x20AC:
        return "$";
      case 0xBC:
        return "1/4";
      case 0xBD:
        return "1/2";
      case 0xBE:
        return "3/4";
      case 0xA2:
        return "cents";
      case '"':
      case 0x2013:
      case 0x2014:
      case 0x2018:
      case 0x2019:
      case 0x201C:
      case 0x201D:
      case 0x2026:
        return "";  // all become punctuation
      default:
        return is_space(c) || c < ' ' ? "" : to_utf8(std::u32string(1, c));
    }
  }

  size_t longest(size_t i) const {
    return std::max({word(i), joined(i), hyphenated(i), number(i), slashed(i), clitic(i),
                     company(i), tag(i), repeated(i)});
  }

  size_t alnum_end(size_t i) const {
    while (is_alnum(at(i))) ++i;
    return i;
  }

  // Letters and digits; parts joined by a full stop without a space; the stop of an abbreviation.
  size_t word(size_t i) const {
    if (!is_alnum(at(i))) return 0;
    const bool starts_with_digit = is_digit(at(i));
    size_t end = alnum_end(i);
    while (!starts_with_digit && (at(end) == '.' || at(end) == '!' || at(end) == '?') &&
           is_letter(at(end + 1)))
      end = alnum_end(end + 1);
    if (is_negation(end)) return end - 1 - i;
    if (at(end) == '.' && keeps_stop(i, end)) ++end;
    return end - i;
  }

  // Whether a word that ends at `end` is the "don" of "don't".
  bool is_negation(size_t end) const {
    return end > 1 && lower(at(end - 1)) == 'n' && is_apostrophe(at(end)) &&
           lower(at(end + 1)) == 't' && !is_alnum(at(end + 2));
  }

  bool keeps_stop(size_t begin, size_t end) const {
    const char32_t next = at(end + 1);
    if (next == ',' || next == ';' || next == ':') return !is_digit(at(begin));
    if (is_acronym(begin, end)) return true;
    const std::string name = lowered(begin, end);
    if (end - begin == 1 && is_letter(at(begin))) return !sentence_starts(end + 1);
    if (kAbbreviations.contains(name)) return true;
    if (kCapitalAbbreviations.contains(name)) return is_upper(at(begin));
    return kNumberAbbreviations.contains(name) && is_space(next) && is_digit(at(end + 2));
  }

  // U.S, A.F.C: single letters joined by full stops.
  bool is_acronym(size_t begin, size_t end) const {
    if ((end - begin) % 2 == 0 || end - begin < 3) return false;
    for (size_t i = begin; i < end; ++i)
      if ((i - begin) % 2 == 0 ? !is_letter(at(i)) : at(i) != '.') return false;
    return true;
  }

  bool sentence_starts(size_t i) const {
    if (!is_space(at(i)) || i >= text_.size()) return false;
    while (i < text_.size() && is_space(at(i))) ++i;
    const size_t end = alnum_end(i);
    return is_upper(at(i)) && is_space(at(end)) && kSentenceStarts.contains(lowered(i, end));
  }

  // o'donnell, hors d'oeuvre, ra'ayat: an apostrophe within a word.
  size_t joined(size_t i) const {
    size_t end = i;
    while (is_ascii_letter(at(end))) ++end;
    const bool has_mark = is_apostrophe(at(end)) || at(end) == '`';
    if (end == i || !has_mark || clitic(end) > 0) return 0;
    const bool is_particle = end - i == 1 && std::u32string_view(U"dlno").find(lower(at(i))) !=
                                                 std::u32string_view::npos;
    const char32_t next = at(end + 1);
    if (!is_ascii_letter(next) || !(is_particle || is_vowel(next) || is_upper(next))) return 0;
    return alnum_end(end + 1) - i;
  }

  size_t clitic(size_t i) const {
    if (lower(at(i)) == 'n' && is_apostrophe(at(i + 1)) && lower(at(i + 2)) == 't' &&
        !is_alnum(at(i + 3)))
      return 3;
    if (!is_apostrophe(at(i))) return 0;
    if (lower(at(i + 1)) == 'n' && is_apostrophe(at(i + 2))) return 3;  // rock 'n' roll
    const size_t end = alnum_end(i + 1);
    return kClitics.contains(lowered(i + 1, end)) ? end - i : 0;
  }

  // family-friendly, 20-25, 140,000-square
  size_t hyphenated(size_t i) const {
    if (!is_alnum(at(i))) return 0;
    size_t end = i;
    while (is_alnum(at(end)) || at(end) == '.' || at(end) == ',' || at(end) == '%') ++end;
    return hyphen_parts(i, end);
  }

  size_t hyphen_parts(size_t begin, size_t end) const {
    const size_t first = end;
    while (at(end) == '-' && is_alnum(at(end + 1))) end = alnum_end(end + 1);
    return end == first ? 0 : end - begin;
  }

  // -3.5, 16,000, 10:46, .14
  size_t number(size_t i) const {
    size_t end = i + (at(i) == '-' || at(i) == '+' ? 1 : 0);
    const size_t digits = end;
    while (is_digit(at(end))) ++end;
    while ((at(end) == '.' || at(end) == ':' || at(end) == ',') && is_digit(at(end + 1))) {
      ++end;
      while (is_digit(at(end))) ++end;
    }
    return end == digits ? 0 : end - i;
  }

  // km/h, 18l/36r, front-wheel/all-wheel, 08/26/2010
  size_t slashed(size_t i) const {
    if (!is_alnum(at(i))) return 0;
    size_t end = hyphen_end(i), parts = 0;
    while (at(end) == '/' && is_alnum(at(end + 1)) && parts < 2) {
      end = hyphen_end(end + 1);
      ++parts;
    }
    return parts == 0 ? 0 : end - i;
  }

  size_t hyphen_end(size_t i) const {
    i = alnum_end(i);
    while (at(i) == '-' && is_alnum(at(i + 1))) i = alnum_end(i + 1);
    return i;
  }

  // P&O, US$
  size_t company(size_t i) const {
    size_t end = i;
    while (is_capital(at(end))) ++end;
    if (end > i && at(end) == '$') return end + 1 - i;
    const size_t first = end;
    while (end > i && (at(end) == '&' || at(end) == '+') && is_capital(at(end + 1)))
      for (++end; is_capital(at(end));) ++end;
    return end == first ? 0 : end - i;
  }

  static bool is_capital(char32_t c) { return c >= 'A' && c <= 'Z'; }

  // snake_case, #tag, @name
  size_t tag(size_t i) const {
    if ((at(i) == '#' || at(i) == '@') && is_letter(at(i + 1))) return alnum_end(i + 1) - i;
    size_t end = alnum_end(i);
    if (end == i || at(end) != '_') return 0;
    while (at(end) == '_' && is_alnum(at(end + 1))) end = alnum_end(end + 1);
    return end - i;
  }

  size_t repeated(size_t i) const {
    size_t end = i;
    while (at(end) == at(i) && std::u32string_view(U"?!-`'_").find(at(i)) != std::u32string::npos)
      ++end;
    return end - i;
  }

  std::u32string text_;
  std::vector<std::string> words_;
};

}  // namespace

std::vector<std::string> ptb_words(std::string_view text) {
  return Scanner(text).words();
}

}  // namespace mtlora
