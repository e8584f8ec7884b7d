#include "lib/core/options.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/utf8.h"

namespace mtlora {

const Entry* Kind::find(std::string_view name) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry* entry) { return entry->name == name; });
  return found == entries.end() ? nullptr : *found;
}

std::vector<std::string> Kind::names() const {
  std::vector<std::string> names;
  for (const Entry* entry : entries) names.push_back(entry->name);
  return names;
}

Rule<int64_t> at_least(int64_t low) {
  return {[=](const int64_t& v) { return v >= low; },
          fmt::format("at least {}", low),
          {{"minimum", low}}};
}
Rule<int64_t> within(int64_t low, int64_t high) {
  return {[=](const int64_t& v) { return low <= v && v <= high; },
          fmt::format("between {} and {}", low, high),
          {{"minimum", low}, {"maximum", high}}};
}
Rule<double> between(double low, double high) {
  return {[=](const double& v) { return low <= v && v <= high; },
          fmt::format("between {} and {}", low, high),
          {{"minimum", low}, {"maximum", high}}};
}
Rule<double> at_least_zero_below(double high) {
  return {[=](const double& v) { return 0 <= v && v < high; },
          fmt::format("at least 0 and below {}", high),
          {{"minimum", 0}, {"exclusiveMaximum", high}}};
}
Rule<double> positive() {
  return {[](const double& v) { return v > 0; }, "above 0", {{"exclusiveMinimum", 0}}};
}
Rule<double> not_negative() {
  return {[](const double& v) { return v >= 0; }, "at least 0", {{"minimum", 0}}};
}
Rule<std::string> one_of(std::vector<std::string> names) {
  std::string text = fmt::format("one of {}", fmt::join(names, ", "));
  Json schema = {{"enum", names}};
  return {[names = std::move(names)](const std::string& v) {
            return std::find(names.begin(), names.end(), v) != names.end();
          },
          std::move(text), std::move(schema)};
}
Rule<std::string> not_empty() {
  return {
      [](const std::string& v) { return !v.empty(); }, "a non-empty string", {{"minLength", 1}}};
}

void merge_config(Json& base, const Json& over) {
  if (!base.is_object() || !over.is_object() || over.contains("name")) {
    base = over;
    return;
  }
  for (const auto& [key, value] : over.items()) {
    if (base.contains(key))
      merge_config(base[key], value);
    else
      base[key] = value;
  }
}

namespace {

// JSON, or else a bare string; what begins as a list or an object can only be meant as JSON.
Json value_of(const std::string& assignment, const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  const bool is_meant = begin != std::string::npos && (text[begin] == '[' || text[begin] == '{');
  return is_meant || Json::accept(text) ? parse_json(text, assignment) : Json(text);
}

}  // namespace

void set_option(Json& config, const std::string& assignment) {
  if (const auto bad = invalid_utf8(assignment))
    fail("{}: is not UTF-8 from its byte {} on", replace_invalid_utf8(assignment), *bad + 1);
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0)
    fail("{}: expected PATH=VALUE, such as train.epochs=3", assignment);
  Json value = value_of(assignment, assignment.substr(equals + 1));
  Json* at = &config;
  std::string path = assignment.substr(0, equals);
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    if (end == begin) fail("{}: the path \"{}\" has an empty part", assignment, path);
    if (at->is_null()) *at = Json::object();
    if (!at->is_object())
      fail("{}: \"{}\" is a value, it has no options of its own", assignment,
           path.substr(0, begin - 1));
    at = &(*at)[path.substr(begin, end - begin)];
    begin = end + 1;
  }
  *at = std::move(value);
}

}  // namespace mtlora
