// tercom 0.7.25 splits at white space (ASCII); its normalisation is that of mteval v11. All of it
// looks at ASCII characters only, so it may work on the bytes of UTF-8.
#include "lib/metrics/ter_words.h"

#include <utf8proc.h>

#include "lib/core/error.h"

namespace mtlora {
namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_stop(char c) {
  return c == '.' || c == ',';
}

/// What mteval sets between spaces: all of ASCII punctuation but ' , - . and, as its ranges have
/// it, the space itself.
bool is_separate(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
         (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

/// Replaces every pair of neighbours for which `matches` holds by `replacement` of it; what has
/// been replaced is not looked at again.
template <class Matches, class Replacement>
std::string replace_pairs(const std::string& text, Matches matches, Replacement replacement) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && matches(text[i], text[i + 1])) {
      out += replacement(text[i], text[i + 1]);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string normalize(std::string_view text) {
  std::string line(text);
  replace_all(line, "<skipped>", "");
  replace_all(line, "-\n", "");
  replace_all(line, "\n", " ");
  replace_all(line, "&quot;", "\"");
  replace_all(line, "&amp;", "&");
  replace_all(line, "&lt;", "<");
  replace_all(line, "&gt;", ">");
  std::string spaced = " ";
  for (const char c : line) spaced += is_separate(c) ? std::string{' ', c, ' '} : std::string{c};
  spaced += ' ';
  replace_all(spaced, "'s ", " 's ");
  if (spaced.ends_with("'s")) spaced.insert(spaced.size() - 2, " ");
  const auto split_second = [](char a, char b) { return std::string{a, ' ', b, ' '}; };
  const auto split_first = [](char a, char b) { return std::string{' ', a, ' ', b}; };
  spaced = replace_pairs(
      spaced, [](char a, char b) { return !is_digit(a) && is_stop(b); }, split_second);
  spaced = replace_pairs(
      spaced, [](char a, char b) { return is_stop(a) && !is_digit(b); }, split_first);
  return replace_pairs(
      spaced, [](char a, char b) { return is_digit(a) && b == '-'; }, split_second);
}

std::string lower(std::string_view text) {
  std::string out;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  for (utf8proc_ssize_t at = 0; at < size;) {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t read = utf8proc_iterate(bytes + at, size - at, &c);
    if (read < 0) fail("TER: byte {} of a text is not UTF-8: {}", at, text);
    at += read;
    utf8proc_uint8_t encoded[4];
    const utf8proc_ssize_t written = utf8proc_encode_char(utf8proc_tolower(c), encoded);
    out.append(reinterpret_cast<const char*>(encoded), static_cast<size_t>(written));
  }
  return out;
}

}  // namespace

std::vector<std::string> ter_words(std::string_view text, const TerWords& options) {
  std::string line = options.case_sensitive ? std::string(text) : lower(text);
  if (options.normalize) line = normalize(line);
  if (!options.punctuation) {
    std::erase_if(line, [](char c) {
      return std::string_view(".,?:;!\"()").find(c) != std::string_view::npos;
    });
  }
  std::vector<std::string> words;
  for (size_t i = 0; i < line.size();) {
    size_t end = i;
    while (end < line.size() && !is_space(line[end])) ++end;
    if (end > i) words.push_back(line.substr(i, end - i));
    i = end + 1;
  }
  return words;
}

}  // namespace mtlora
