#include "lib/metrics/tokenize_13a.h"

#include <utility>

#include "lib/metrics/score_text.h"

namespace mtlora {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_stop(char c) {
  return c == '.' || c == ',';
}
// ASCII punctuation and signs, but for ' , - and the full stop.
bool is_always_apart(char c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t i = 0; (i = text.find(from, i)) != std::string::npos; i += to.size())
    text.replace(i, from.size(), to);
}

std::string unescaped(std::string_view text) {
  std::string out(text);
  replace_all(out, "<skipped>", "");
  replace_all(out, "-\n", "");
  if (out.find('&') == std::string::npos) return out;
  for (const auto& [entity, sign] : {std::pair("&quot;", "\""), std::pair("&amp;", "&"),
                                     std::pair("&lt;", "<"), std::pair("&gt;", ">")})
    replace_all(out, entity, sign);
  return out;
}

// Each character that `rule` accepts with the one before or after it is rewritten; like a regular
// expression's global replacement, a character is part of one match only.
template <class Accepts, class Rewrite>
std::string replace_pairs(std::string_view text, Accepts accepts, Rewrite rewrite) {
  std::string out;
  out.reserve(text.size() * 2);
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && accepts(text[i], text[i + 1])) {
      rewrite(out, text[i], text[i + 1]);
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

void second_apart(std::string& out, char a, char b) {
  out += {a, ' ', b, ' '};
}
void first_apart(std::string& out, char a, char b) {
  out += {' ', a, ' ', b};
}

}  // namespace

std::vector<std::string> tokenize_13a(std::string_view text) {
  std::string line = " ";
  for (const char c : unescaped(text)) {
    if (is_always_apart(c))
      line += {' ', c, ' '};
    else
      line.push_back(c);
  }
  line.push_back(' ');
  line = replace_pairs(
      line, [](char a, char b) { return !is_digit(a) && is_stop(b); }, second_apart);
  line = replace_pairs(
      line, [](char a, char b) { return is_stop(a) && !is_digit(b); }, first_apart);
  line = replace_pairs(
      line, [](char a, char b) { return is_digit(a) && b == '-'; }, second_apart);
  return scoring::unicode_words_of(line);
}

}  // namespace mtlora
