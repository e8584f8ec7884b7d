// Options: plain structs described once, by a fields() member that visits every option.
//
// The same visit reads JSON, writes JSON, prints the reference and writes the JSON Schema, so an
// option's name, default, range and meaning are written down in exactly one place.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/core/json.h"

namespace mtlora {

/// What a value must satisfy; `text` completes the sentence "<value> is not ...", `schema` says it
/// as JSON Schema.
template <class T>
struct Rule {
  std::function<bool(const T&)> holds = [](const T&) { return true; };
  std::string text;
  Json schema = Json::object();
};
Rule<int64_t> at_least(int64_t low);
Rule<int64_t> within(int64_t low, int64_t high);  ///< both ends allowed
Rule<double> between(double low, double high);    ///< both ends allowed
Rule<double> at_least_zero_below(double high);    ///< 0 <= value < high
Rule<double> positive();
Rule<double> not_negative();
Rule<std::string> one_of(std::vector<std::string> names);
Rule<std::string> not_empty();

/// Values under names of the user's own, in the order in which these are written.
template <class T>
using ByName = std::vector<std::pair<std::string, T>>;

class Fields;
using Visit = std::function<void(Fields&)>;

/// Something a config can name, with options of its own: an adapter method, an optimizer, a task,
/// ...
struct Entry {
  std::string name, summary;
  Visit visit;  ///< visits a default-constructed options struct
};

/// The entries of one registry, e.g. {"adapter method", {&lora, &mtlora, ...}}.
struct Kind {
  std::string noun;
  std::vector<const Entry*> entries;

  const Entry* find(std::string_view name) const;  ///< null when there is none of that name
  std::vector<std::string> names() const;
};

/// A config's pick from a Kind: {"name": "lora", "rank": 8} becomes name "lora" and complete
/// options.
struct Choice {
  std::string name;
  Json options = Json::object();  ///< without the name
};

/// Visits the options of one struct. A fields() member calls it once per option.
class Fields {
 public:
  virtual ~Fields() = default;
  virtual void operator()(const char* name, bool& value, const char* help) = 0;
  virtual void operator()(const char* name, int64_t& value, const char* help,
                          Rule<int64_t> rule = {}) = 0;
  virtual void operator()(const char* name, double& value, const char* help,
                          Rule<double> rule = {}) = 0;
  virtual void operator()(const char* name, std::string& value, const char* help,
                          Rule<std::string> rule = {}) = 0;
  virtual void operator()(const char* name, std::optional<int64_t>& value, const char* help,
                          Rule<int64_t> rule = {}) = 0;
  virtual void operator()(const char* name, std::optional<double>& value, const char* help,
                          Rule<double> rule = {}) = 0;
  virtual void operator()(const char* name, std::optional<std::string>& value, const char* help,
                          Rule<std::string> rule = {}) = 0;
  virtual void operator()(const char* name, std::vector<std::string>& value, const char* help) = 0;
  /// `rule` is for each value.
  virtual void operator()(const char* name, ByName<int64_t>& values, const char* help,
                          Rule<int64_t> rule = {}) = 0;
  virtual void operator()(const char* name, ByName<double>& values, const char* help,
                          Rule<double> rule = {}) = 0;
  virtual void operator()(const char* name, Choice& value, const char* help, const Kind& kind) = 0;

  template <class Nested>
  requires requires(Nested n, Fields& f) { n.fields(f); }
  void operator()(const char* name, Nested& nested, const char* help) {
    if (!enter(name, help)) return;
    nested.fields(*this);
    leave();
  }

 protected:
  /// false: the section is absent or unusable, its fields are not to be visited
  virtual bool enter(const char* name, const char* help) = 0;
  virtual void leave() = 0;
};

/// Fills options from `in`; throws Error naming every problem by its JSON pointer below `at`.
void read_options(const Json& in, const std::string& at, const Visit& visit);
/// Every option with its value.
Json write_options(const Visit& visit);
/// A Markdown table of every option: path, type, default, meaning; the options of every choice's
/// entries after it.
std::string options_reference(const Visit& visit);
/// The JSON Schema (draft 2020-12) that accepts what read_options accepts.
Json options_schema(const Visit& visit);

template <class Options>
Options parse(const Json& in, const std::string& at = "") {
  Options options;
  read_options(in, at, [&](Fields& f) { options.fields(f); });
  return options;
}

template <class Options>
Json dump(Options options) {
  return write_options([&](Fields& f) { options.fields(f); });
}

/// The visit of a default-constructed Options, for an Entry.
template <class Options>
Visit default_visit() {
  return [](Fields& f) {
    Options options;
    options.fields(f);
  };
}

/// Lays `over` onto `base`: objects are merged, except that one with a "name" (a choice) replaces
/// the whole.
void merge_config(Json& base, const Json& over);

/// Applies `path=value` (path of keys joined by dots; value JSON, or else a bare string). Throws
/// Error.
void set_option(Json& config, const std::string& assignment);

}  // namespace mtlora
