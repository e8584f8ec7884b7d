// Reading: every key must be known, every value of its type and in its range; all problems are
// reported at once.

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/options.h"

namespace mtlora {
namespace {

bool is_boolean(const Json& v) {
  return v.is_boolean();
}
bool is_integer(const Json& v) {
  return v.is_number_integer();
}
bool is_number(const Json& v) {
  return v.is_number();
}
bool is_string(const Json& v) {
  return v.is_string();
}
bool is_string_list(const Json& v) {
  return v.is_array() && std::all_of(v.begin(), v.end(), is_string);
}

// Those are unsigned ones; what is beyond them too is no integer to the parser.
bool is_beyond_int64(const Json& v) {
  return v.is_number_unsigned() && v.get<uint64_t>() > INT64_MAX;
}

template <class T>
struct Type {
  const char* text;
  bool (*is)(const Json&);
};

class Reader final : public Fields {
 public:
  Reader(const Json& in, std::string at) { open(in, std::move(at)); }

  void operator()(const char* name, bool& value, const char*) override {
    take<bool>(name, value, {"true or false", is_boolean}, {});
  }
  void operator()(const char* name, int64_t& value, const char*, Rule<int64_t> rule) override {
    take<int64_t>(name, value, {"an integer", is_integer}, rule);
  }
  void operator()(const char* name, double& value, const char*, Rule<double> rule) override {
    take<double>(name, value, {"a number", is_number}, rule);
  }
  void operator()(const char* name, std::string& value, const char*,
                  Rule<std::string> rule) override {
    take<std::string>(name, value, {"a string", is_string}, rule);
  }
  void operator()(const char* name, std::optional<int64_t>& value, const char*,
                  Rule<int64_t> rule) override {
    take_optional<int64_t>(name, value, {"an integer or null", is_integer}, rule);
  }
  void operator()(const char* name, std::optional<double>& value, const char*,
                  Rule<double> rule) override {
    take_optional<double>(name, value, {"a number or null", is_number}, rule);
  }
  void operator()(const char* name, std::optional<std::string>& value, const char*,
                  Rule<std::string> rule) override {
    take_optional<std::string>(name, value, {"a string or null", is_string}, rule);
  }
  void operator()(const char* name, std::vector<std::string>& value, const char*) override {
    take<std::vector<std::string>>(name, value, {"a list of strings", is_string_list}, {});
  }

  void operator()(const char* name, ByName<int64_t>& values, const char*,
                  Rule<int64_t> rule) override {
    take_each<int64_t>(name, values, {"an integer", is_integer}, rule);
  }
  void operator()(const char* name, ByName<double>& values, const char*,
                  Rule<double> rule) override {
    take_each<double>(name, values, {"a number", is_number}, rule);
  }

  void operator()(const char* name, Choice& value, const char*, const Kind& kind) override {
    static const Json nothing = Json::object();
    if (sections_.empty()) return;
    const Json* in = find(name);
    if (!open(in ? *in : nothing, sections_.back().at + "/" + name)) return;
    take<std::string>("name", value.name, {"a string", is_string}, {});
    const Entry* entry = kind.find(value.name);
    if (!entry) {
      const std::string what = value.name.empty()
                                   ? fmt::format("a {} must be named; known: {}", kind.noun,
                                                 fmt::join(kind.names(), ", "))
                                   : unknown(kind.noun, value.name, kind.names());
      problems_.add(fmt::format("{}/name: {}", sections_.back().at, what));
      sections_.pop_back();  // its other keys cannot be judged
      return;
    }
    entry->visit(*this);
    value.options = write_options(entry->visit);
    for (const auto& [key, given] : sections_.back().in->items())
      if (key != "name") value.options[key] = given;
    close();
  }

  void finish() {
    close();
    problems_.raise();
  }

 private:
  struct Section {
    const Json* in;
    std::string at;
    std::vector<std::string> known;
  };

  // The value under `name` in the innermost section, or null; either way the name is now known.
  const Json* find(const char* name) {
    sections_.back().known.push_back(name);
    const auto found = sections_.back().in->find(name);
    return found == sections_.back().in->end() ? nullptr : &*found;
  }

  bool enter(const char* name, const char*) override {
    if (sections_.empty()) return false;
    const Json* in = find(name);
    return in && open(*in, sections_.back().at + "/" + name);
  }
  void leave() override { close(); }

  bool open(const Json& in, std::string at) {
    if (!in.is_object())
      problems_.add(
          fmt::format("{}: expected an object, got {}", at.empty() ? "/" : at, in.dump()));
    else
      sections_.push_back({&in, std::move(at), {}});
    return in.is_object();
  }

  void close() {
    if (sections_.empty()) return;
    const Section section = std::move(sections_.back());
    sections_.pop_back();
    for (const auto& [key, value] : section.in->items())
      if (std::find(section.known.begin(), section.known.end(), key) == section.known.end())
        problems_.add(
            fmt::format("{}/{}: {}", section.at, key, unknown("key", key, section.known)));
  }

  template <class T, class Target>
  void take(const char* name, Target& value, const Type<T>& type, const Rule<T>& rule) {
    if (sections_.empty()) return;
    if (const Json* in = find(name)) assign(name, *in, value, type, rule);
  }

  template <class T>
  void take_optional(const char* name, std::optional<T>& value, const Type<T>& type,
                     const Rule<T>& rule) {
    if (sections_.empty()) return;
    const Json* in = find(name);
    if (!in) return;
    if (in->is_null())
      value.reset();
    else
      assign(name, *in, value, type, rule);
  }

  template <class T>
  void take_each(const char* name, ByName<T>& values, const Type<T>& type, const Rule<T>& rule) {
    if (sections_.empty()) return;
    const Json* in = find(name);
    if (!in || !open(*in, sections_.back().at + "/" + name)) return;
    values.clear();
    for (const auto& [key, given] : in->items()) {
      values.emplace_back(key, T{});
      take<T>(key.c_str(), values.back().second, type, rule);
    }
    close();
  }

  template <class T, class Target>
  void assign(const char* name, const Json& in, Target& value, const Type<T>& type,
              const Rule<T>& rule) {
    const std::string where = sections_.back().at + "/" + name;
    if (!type.is(in)) {
      problems_.add(fmt::format("{}: expected {}, got {}", where, type.text, in.dump()));
    } else if (std::is_same_v<T, int64_t> && is_beyond_int64(in)) {
      problems_.add(fmt::format("{}: {} is more than {}", where, in.dump(), INT64_MAX));
    } else if (T given = in.get<T>(); !rule.holds(given)) {
      problems_.add(fmt::format("{}: {} is not {}", where, in.dump(), rule.text));
    } else {
      value = std::move(given);
    }
  }

  std::vector<Section> sections_;
  Problems problems_{100};
};

}  // namespace

void read_options(const Json& in, const std::string& at, const Visit& visit) {
  Reader reader(in, at);
  visit(reader);
  reader.finish();
}

}  // namespace mtlora
