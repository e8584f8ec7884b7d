// describe: what can be configured, for people and for machines. It loads nothing.

#include <fmt/format.h>

#include "lib/core/error.h"
#include "lib/data/task.h"
#include "lib/metrics/metric.h"
#include "lib/metrics/text_metric.h"
#include "lib/models/family.h"
#include "lib/optim/registry.h"
#include "lib/run/run_options.h"

namespace mtlora {
namespace {

const std::vector<std::string> kTopics = {"config",  "schema", "methods",   "tasks",
                                          "metrics", "models", "optimizers"};

Json methods() {
  Json out = Json::array();
  for (const AdapterMethod& m : adapter_methods())
    out.push_back({{"name", m.name},
                   {"summary", m.summary},
                   {"equation", m.equation},
                   {"source", m.source},
                   {"parameters_768x768", m.parameters(Json::object(), 768, 768)},
                   {"options", write_options(m.visit)}});
  return out;
}

template <class Entries>
Json entries_json(const Entries& entries) {
  Json out = Json::array();
  for (const auto& e : entries)
    out.push_back({{"name", e.name}, {"summary", e.summary}, {"options", write_options(e.visit)}});
  return out;
}

Json metrics_json() {
  Json out = Json::array();
  for (const Metric& m : metrics()) out.push_back({{"name", m.name}, {"summary", m.definition}});
  for (const TextMetric& m : text_metrics())
    out.push_back({{"name", m.name},
                   {"summary", m.summary},
                   {"options", write_options(m.visit)},
                   {"source", m.source}});
  return out;
}

Json models_json() {
  Json out = Json::array();
  for (const Family& f : families()) out.push_back({{"name", f.name}, {"summary", f.summary}});
  return out;
}

void print(const Json& entries) {
  for (const Json& e : entries) {
    fmt::print("{:<20} {}\n", e["name"].get<std::string>(), e["summary"].get<std::string>());
    if (e.contains("equation")) fmt::print("{:<20} {}\n", "", e["equation"].get<std::string>());
    if (e.contains("parameters_768x768"))
      fmt::print("{:<20} {} trained numbers for a 768 x 768 layer with the defaults\n", "",
                 e["parameters_768x768"].dump());
    if (e.contains("options") && !e["options"].empty())
      fmt::print("{:<20} defaults {}\n", "", e["options"].dump());
    if (e.contains("source")) fmt::print("{:<20} {}\n", "", e["source"].get<std::string>());
  }
}

}  // namespace

void describe(const std::string& topic, bool json) {
  RunOptions defaults;
  const Visit visit = [&](Fields& f) { defaults.fields(f); };
  if (topic.empty()) {
    fmt::print("describe what? {}\n", fmt::join(kTopics, ", "));
  } else if (topic == "config") {
    fmt::print("{}\n", json ? write_options(visit).dump(2) : options_reference(visit));
  } else if (topic == "schema") {
    fmt::print("{}\n", options_schema(visit).dump(2));
  } else {
    const Json entries = topic == "methods"      ? methods()
                         : topic == "tasks"      ? entries_json(tasks())
                         : topic == "metrics"    ? metrics_json()
                         : topic == "models"     ? models_json()
                         : topic == "optimizers" ? entries_json(optimizers())
                                                 : Json();
    if (entries.is_null()) fail("{}", unknown("topic", topic, kTopics));
    if (json)
      fmt::print("{}\n", entries.dump(2));
    else
      print(entries);
  }
}

}  // namespace mtlora
