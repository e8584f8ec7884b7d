#include "lib/text/normalizer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "lib/text/charsmap.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

bool has_byte_from(unsigned char least, std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [&](char c) { return static_cast<unsigned char>(c) >= least; });
}

// Where the code point ends whose first byte is at `at`.
size_t after(std::string_view text, size_t at) {
  next_code_point(text, at);
  return at;
}

bool is_space_at(std::string_view text, size_t at) {
  return is_whitespace(next_code_point(text, at));
}

}  // namespace

std::string_view Normalizer::operator()(std::string_view text, std::string& buffer) const {
  std::string made;
  for (const NormalizerStep& step : steps_) {
    made.clear();
    if (!step(text, made)) continue;
    buffer.swap(made);
    text = buffer;
  }
  return text;
}

NormalizerStep lowercase() {
  return [](std::string_view text, std::string& out) {
    for (size_t at = 0; at < text.size();) append_lower(next_code_point(text, at), out);
    return true;
  };
}

NormalizerStep unicode_form(Form form) {
  const bool composes = form == Form::kNfc || form == Form::kNfkc;
  const auto decomposition =
      form == Form::kNfkc || form == Form::kNfkd ? decompose_compatible : decompose;
  // NFC leaves alone what is below U+0300, the others what is ASCII.
  const unsigned char least = form == Form::kNfc ? 0xCC : 0x80;
  return [=](std::string_view text, std::string& out) {
    if (!has_byte_from(least, text)) return false;
    std::u32string code_points;
    for (size_t at = 0; at < text.size();) code_points += next_code_point(text, at);
    std::vector<char32_t> parts = decomposition(code_points);
    if (composes) compose(parts);
    for (const char32_t c : parts) append_utf8(c, out);
    return true;
  };
}

NormalizerStep strip(StripEnds ends) {
  return [=](std::string_view text, std::string& out) {
    size_t begin = 0, end = text.size();
    if (ends.left)
      while (begin < end && is_space_at(text, begin)) begin = after(text, begin);
    while (ends.right && end > begin) {
      size_t last = end - 1;
      while ((static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
      if (!is_space_at(text, last)) break;
      end = last;
    }
    if (end - begin == text.size()) return false;
    out = text.substr(begin, end - begin);
    return true;
  };
}

NormalizerStep replace(std::string pattern, std::string content) {
  return [pattern = std::move(pattern), content = std::move(content)](std::string_view text,
                                                                      std::string& out) {
    size_t done = 0;
    for (size_t at = text.find(pattern); at != std::string_view::npos;
         at = text.find(pattern, done)) {
      out += text.substr(done, at - done);
      out += content;
      done = at + pattern.size();
    }
    if (done > 0) out += text.substr(done);
    return done > 0;
  };
}

NormalizerStep replace_space_runs(std::string content) {
  return [content = std::move(content)](std::string_view text, std::string& out) {
    size_t done = 0;
    for (size_t at = text.find("  "); at != std::string_view::npos; at = text.find("  ", done)) {
      out += text.substr(done, at - done);
      out += content;
      done = std::min(text.find_first_not_of(' ', at), text.size());
    }
    if (done > 0) out += text.substr(done);
    return done > 0;
  };
}

NormalizerStep replace_white_space(std::string content) {
  return [content = std::move(content)](std::string_view text, std::string& out) {
    bool is_changed = false;
    for (size_t at = 0; at < text.size();) {
      size_t end = at;
      while (end < text.size() && is_space_at(text, end)) end = after(text, end);
      const bool is_run = end > at && end > after(text, at);
      if (is_run || (end > at && std::string_view("\n\r\t").find(text[at]) != text.npos)) {
        out += content;
        at = end;
        is_changed = true;
      } else {
        end = after(text, at);
        out += text.substr(at, end - at);
        at = end;
      }
    }
    return is_changed;
  };
}

NormalizerStep prepend(std::string prefix) {
  return [prefix = std::move(prefix)](std::string_view text, std::string& out) {
    if (text.empty()) return false;
    out = prefix;
    out += text;
    return true;
  };
}

NormalizerStep precompiled(std::string_view bytes) {
  return [map = std::make_shared<const Charsmap>(bytes)](std::string_view text, std::string& out) {
    map->append(text, out);
    return true;
  };
}

}  // namespace mtlora
