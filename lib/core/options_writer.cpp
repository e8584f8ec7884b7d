// Writing: the resolved config with every value, the reference table, the JSON Schema.

#include "lib/core/error.h"
#include "lib/core/options.h"

namespace mtlora {
namespace {

// A visitor that treats every plain option alike: what remains is `put` and the two structures.
class Describer : public Fields {
 public:
  void operator()(const char* n, bool& v, const char* h) override {
    put(n, v, h, {"boolean", "flag"}, {}, "");
  }
  void operator()(const char* n, int64_t& v, const char* h, Rule<int64_t> r) override {
    put(n, v, h, {"integer", "integer"}, r.schema, r.text);
  }
  void operator()(const char* n, double& v, const char* h, Rule<double> r) override {
    put(n, v, h, {"number", "number"}, r.schema, r.text);
  }
  void operator()(const char* n, std::string& v, const char* h, Rule<std::string> r) override {
    put(n, v, h, {"string", "string"}, r.schema, r.text);
  }
  void operator()(const char* n, std::optional<int64_t>& v, const char* h,
                  Rule<int64_t> r) override {
    put(n, json(v), h, {"integer", "integer or null", true}, r.schema, r.text);
  }
  void operator()(const char* n, std::optional<double>& v, const char* h, Rule<double> r) override {
    put(n, json(v), h, {"number", "number or null", true}, r.schema, r.text);
  }
  void operator()(const char* n, std::optional<std::string>& v, const char* h,
                  Rule<std::string> r) override {
    put(n, json(v), h, {"string", "string or null", true}, r.schema, r.text);
  }
  void operator()(const char* n, std::vector<std::string>& v, const char* h) override {
    put(n, v, h, {"array", "list of strings", false, "string"}, {}, "");
  }
  void operator()(const char* n, ByName<int64_t>& v, const char* h, Rule<int64_t> r) override {
    put(n, json(v), h, {"object", "integers by name", false, "integer"}, r.schema, r.text);
  }
  void operator()(const char* n, ByName<double>& v, const char* h, Rule<double> r) override {
    put(n, json(v), h, {"object", "numbers by name", false, "number"}, r.schema, r.text);
  }
  using Fields::operator();

 protected:
  struct Type {
    const char *schema, *text;
    bool nullable = false;
    const char* each = nullptr;  // the schema's type of each value, where there are several
  };
  virtual void put(const char* name, const Json& value, const char* help, const Type& type,
                   const Json& rule, const std::string& rule_text) = 0;

 private:
  template <class T>
  static Json json(const std::optional<T>& v) {
    return v ? Json(*v) : Json();
  }
  template <class T>
  static Json json(const ByName<T>& values) {
    Json object = Json::object();
    for (const auto& [name, value] : values) object[name] = value;
    return object;
  }
};

class Writer final : public Describer {
 public:
  Json out = Json::object();
  using Describer::operator();
  void operator()(const char* name, Choice& v, const char*, const Kind&) override {
    Json& at = out[at_ / name];
    at = Json{{"name", v.name}};
    at.update(v.options);
  }

 private:
  void put(const char* name, const Json& value, const char*, const Type&, const Json&,
           const std::string&) override {
    out[at_ / name] = value;
  }
  bool enter(const char* name, const char*) override {
    at_ /= name;
    return true;
  }
  void leave() override { at_.pop_back(); }
  Json::json_pointer at_;
};

class Reference final : public Describer {
 public:
  explicit Reference(std::string at = "") : at_(std::move(at)) {}

  std::string text() const {
    return "| option | type | default | meaning |\n|---|---|---|---|\n" + rows_ + after_;
  }

  using Describer::operator();
  void operator()(const char* name, Choice& v, const char* help, const Kind& kind) override {
    row(at_ + name + ".name", "string", Json(v.name),
        fmt::format("{} One of {}.", help, fmt::join(kind.names(), ", ")));
    for (const Entry* entry : kind.entries) {
      Reference own(at_ + name + ".");
      entry->visit(own);
      after_ += fmt::format("\n`{}{}.name` = **{}**: {}\n", at_, name, entry->name, entry->summary);
      if (!own.rows_.empty()) after_ += "\n" + own.text();
    }
  }

 private:
  void put(const char* name, const Json& value, const char* help, const Type& type, const Json&,
           const std::string& rule) override {
    row(at_ + name, type.text, value,
        rule.empty() ? std::string(help)
                     : fmt::format("{} {} be {}.", help, type.each ? "Each must" : "Must", rule));
  }
  void row(const std::string& path, const char* type, const Json& value, const std::string& help) {
    rows_ += fmt::format("| `{}` | {} | `{}` | {} |\n", path, type, value.dump(), help);
  }
  bool enter(const char* name, const char*) override {
    at_ += std::string(name) + ".";
    return true;
  }
  void leave() override { at_.erase(at_.find_last_of('.', at_.size() - 2) + 1); }

  std::string at_, rows_, after_;
};

class Schema final : public Describer {
 public:
  Json out = object();
  using Describer::operator();
  void operator()(const char* name, Choice& v, const char* help, const Kind& kind) override {
    Json one_of = Json::array();
    for (const Entry* entry : kind.entries) {
      Schema own;
      entry->visit(own);
      own.out["description"] = entry->summary;
      own.out["properties"]["name"] = {{"const", entry->name}};
      if (entry->name != v.name) own.out["required"] = {"name"};  // the default may stay unnamed
      one_of.push_back(own.out);
    }
    here()["properties"][name] = {{"description", help}, {"oneOf", one_of}};
  }

 private:
  static Json object() {
    return {{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
  }
  Json& here() { return out[at_]; }
  void put(const char* name, const Json& value, const char* help, const Type& type,
           const Json& rule, const std::string&) override {
    Json property = {{"description", help}, {"type", type.schema}, {"default", value}};
    const auto ruled = [&](const char* of_value) {
      Json value_rule = rule.is_null() ? Json::object() : rule;
      value_rule["type"] = of_value;
      return value_rule;
    };
    if (type.each) {
      const bool is_list = std::string(type.schema) == "array";
      property[is_list ? "items" : "additionalProperties"] = ruled(type.each);
    } else if (type.nullable) {
      property.erase("type");
      property["anyOf"] = {ruled(type.schema), {{"type", "null"}}};
    } else if (!rule.is_null()) {
      property.update(rule);
    }
    here()["properties"][name] = property;
  }
  bool enter(const char* name, const char* help) override {
    Json nested = object();
    nested["description"] = help;
    here()["properties"][name] = nested;
    at_ /= "properties";
    at_ /= name;
    return true;
  }
  void leave() override {
    at_.pop_back();
    at_.pop_back();
  }
  Json::json_pointer at_;
};

}  // namespace

Json write_options(const Visit& visit) {
  Writer writer;
  visit(writer);
  return std::move(writer.out);
}

std::string options_reference(const Visit& visit) {
  Reference reference;
  visit(reference);
  return reference.text();
}

Json options_schema(const Visit& visit) {
  Schema schema;
  visit(schema);
  Json out = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}};
  out.update(schema.out);
  return out;
}

}  // namespace mtlora
