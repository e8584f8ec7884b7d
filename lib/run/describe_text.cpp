#include "lib/run/describe_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace mtlora {
namespace {

constexpr size_t line_width = 100, indent = 2, gap = 2;

// Characters, not bytes, of UTF-8.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// `first`, then the words of `text` in lines that begin at column `at`.
std::string wrapped(const std::string& first, const std::string& text, size_t at) {
  std::string out = first + std::string(at - std::min(at, width_of(first)), ' ');
  size_t column = std::max(at, width_of(first));
  std::istringstream words(text);
  bool begins = true;
  for (std::string word; words >> word; begins = false) {
    if (!begins && column + 1 + width_of(word) > line_width) {
      out += "\n" + std::string(at, ' ');
      column = at;
      begins = true;
    }
    out += (begins ? "" : " ") + word;
    column += width_of(word) + (begins ? 0 : 1);
  }
  return out + "\n";
}

// The bounds of a property as the end of its meaning.
std::string bounds_text(const Json& property) {
  std::string text;
  const auto add = [&](const Json& rules, const char* key, const char* words) {
    if (rules.contains(key))
      text += fmt::format("{}{} {:g}", text.empty() ? " " : ", ", words, rules[key].get<double>());
  };
  const bool is_of_each = property.contains("additionalProperties");
  const Json& rules = property.contains("anyOf") ? property["anyOf"][0]
                      : is_of_each               ? property["additionalProperties"]
                                                 : property;
  add(rules, "minimum", "at least");
  add(rules, "exclusiveMinimum", "above");
  add(rules, "maximum", "at most");
  add(rules, "exclusiveMaximum", "below");
  if (rules.contains("enum")) {
    text = " one of";
    for (const Json& name : rules["enum"])
      text += (text.ends_with("of") ? " " : ", ") + name.get<std::string>();
  }
  if (text.empty()) return "";
  if (is_of_each) text = " each" + text;
  text[1] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[1])));
  return text + ".";
}

std::string options_text(const Json& options) {
  const auto head = [](const std::string& name, const Json& property) {
    return std::string(indent, ' ') + name + " = " + property["default"].dump();
  };
  size_t column = 0;
  for (const auto& [name, property] : options.items())
    column = std::max(column, std::min<size_t>(width_of(head(name, property)), 28) + gap);
  std::string text;
  for (const auto& [name, property] : options.items())
    text += wrapped(head(name, property),
                    property["description"].get<std::string>() + bounds_text(property), column);
  return text;
}

std::string thousands(int64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string entry_text(const Json& entry) {
  std::string text =
      wrapped(entry["name"].get<std::string>() + ": ", entry["summary"].get<std::string>(), indent);
  const auto line = [&](const std::string& content) {
    if (!content.empty()) text += wrapped(std::string(indent, ' '), content, indent);
  };
  line(entry.value("equation", ""));
  if (entry.contains("parameters")) {
    const Json& p = entry["parameters"];
    const std::string at = p["at"];
    line(fmt::format("{} trained numbers for {}{}", thousands(p["count"].get<int64_t>()),
                     p["of"].get<std::string>(),
                     at.empty() ? "" : (at.starts_with("rank") ? " at " : " with ") + at));
  }
  if (!entry.value("merges", true)) line("It cannot be merged into the weights.");
  if (entry.contains("options")) text += options_text(entry["options"]);
  line(entry.value("source", ""));
  return text;
}

}  // namespace

std::string entries_text(const Json& entries) {
  std::string text;
  bool was_long = false;  // entries of several lines stand apart
  for (const Json& entry : entries) {
    const std::string own = entry_text(entry);
    const bool is_long = std::count(own.begin(), own.end(), '\n') > 1;
    if (!text.empty() && (is_long || was_long)) text += "\n";
    text += own;
    was_long = is_long;
  }
  if (!text.empty()) text.pop_back();  // the printer ends the last line
  return text;
}

}  // namespace mtlora
