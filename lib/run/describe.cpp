// describe: what can be configured, for people and for machines. It loads nothing.

#include <fmt/format.h>

#include <set>

#include "lib/core/error.h"
#include "lib/data/task.h"
#include "lib/metrics/metric.h"
#include "lib/metrics/text_metric.h"
#include "lib/models/family.h"
#include "lib/optim/registry.h"
#include "lib/run/describe_text.h"
#include "lib/run/run_options.h"

namespace mtlora {
namespace {

const std::vector<std::string> kTopics = {"config",  "schema", "methods",   "tasks",
                                          "metrics", "models", "optimizers"};

// Every option of an entry: its type, default, meaning and bounds, as the schema has them.
Json options_of(const Visit& visit) {
  return options_schema(visit)["properties"];
}

// What one adapted layer costs, at rank 8 where the method has a rank.
Json parameters_of(const AdapterMethod& m, const Json& options) {
  Json given = Json::object();
  if (options.contains("rank")) given["rank"] = 8;
  const auto set = m.start(Json::object());
  Json out = {{"count", m.parameters(given, 768, 768)},
              {"of", set->fills_blocks() ? "a block of width 768" : "a 768 x 768 layer"}};
  out["at"] = options.contains("rank") ? "rank 8" : options.empty() ? "" : "the defaults";
  return out;
}

Json methods() {
  Json out = Json::array();
  for (const AdapterMethod& m : adapter_methods()) {
    const Json options = options_of(m.visit);
    out.push_back({{"name", m.name},
                   {"summary", m.summary},
                   {"equation", m.equation},
                   {"source", m.source},
                   {"merges", m.merges},
                   {"is_low_rank", m.is_low_rank},
                   {"parameters", parameters_of(m, options)},
                   {"options", options}});
  }
  return out;
}

Json optimizers_json() {
  Json out = Json::array();
  for (const OptimizerEntry& o : optimizers())
    out.push_back({{"name", o.name},
                   {"summary", o.summary},
                   {"equation", o.equation},
                   {"source", o.source},
                   {"options", options_of(o.visit)}});
  return out;
}

Json tasks_json() {
  Json out = Json::array();
  for (const TaskEntry& t : tasks())
    out.push_back({{"name", t.name}, {"summary", t.summary}, {"options", options_of(t.visit)}});
  return out;
}

Json metrics_json() {
  Json out = Json::array();
  for (const Metric& m : metrics()) out.push_back({{"name", m.name}, {"summary", m.definition}});
  for (const TextMetric& m : text_metrics())
    out.push_back({{"name", m.name},
                   {"summary", m.summary},
                   {"source", m.source},
                   {"options", options_of(m.visit)}});
  return out;
}

Json models_json() {
  Json out = Json::array();
  for (const Family& f : families()) out.push_back({{"name", f.name}, {"summary", f.summary}});
  return out;
}

// Of a whole configuration, which may say where its schema lies.
Json config_schema(const Visit& visit) {
  Json schema = options_schema(visit);
  schema["properties"]["$schema"] = {{"type", "string"},
                                     {"description", "Where an editor finds this schema."}};
  return schema;
}

// The paths below one part of a schema; an option of several choices has those of each.
void add_paths(const Json& schema, const std::string& above, std::set<std::string>& paths) {
  if (schema.contains("oneOf"))
    for (const Json& choice : schema["oneOf"]) add_paths(choice, above, paths);
  if (!schema.contains("properties")) {
    if (!schema.contains("oneOf")) paths.insert(above);
    return;
  }
  for (const auto& [name, part] : schema["properties"].items())
    add_paths(part, above.empty() ? name : above + "." + name, paths);
}

}  // namespace

std::vector<std::string> describe_topics() {
  return kTopics;
}

std::vector<std::string> option_paths() {
  RunOptions defaults;
  std::set<std::string> paths;
  add_paths(options_schema([&](Fields& f) { defaults.fields(f); }), "", paths);
  return {paths.begin(), paths.end()};
}

void describe(const std::string& topic, bool json) {
  RunOptions defaults;
  const Visit visit = [&](Fields& f) { defaults.fields(f); };
  if (topic.empty()) {
    fmt::print("{}\n", json ? Json(kTopics).dump()
                            : fmt::format("describe what? {}", fmt::join(kTopics, ", ")));
  } else if (topic == "config") {
    fmt::print("{}\n", json ? write_options(visit).dump(2) : options_reference(visit));
  } else if (topic == "schema") {
    fmt::print("{}\n", config_schema(visit).dump(2));
  } else {
    const Json entries = topic == "methods"      ? methods()
                         : topic == "tasks"      ? tasks_json()
                         : topic == "metrics"    ? metrics_json()
                         : topic == "models"     ? models_json()
                         : topic == "optimizers" ? optimizers_json()
                                                 : Json();
    if (entries.is_null()) throw UsageError("describe: " + unknown("topic", topic, kTopics));
    fmt::print("{}\n", json ? entries.dump(2) : entries_text(entries));
  }
}

}  // namespace mtlora
