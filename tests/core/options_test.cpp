#include "lib/core/options.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"

using namespace mtlora;

namespace {

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;
  void fields(Fields& f) {
    f("rank", rank, "Rank.", at_least(1));
    f("alpha", alpha, "Scale.");
  }
};
struct NoOptions {
  void fields(Fields&) {}
};
const Entry lora{"lora", "Low rank.", default_visit<LoraOptions>()};
const Entry ia3{"ia3", "Rescales.", default_visit<NoOptions>()};
const Kind methods{"adapter method", {&lora, &ia3}};

struct Section {
  double dropout = 0.1;
  std::optional<std::string> start_from;
  void fields(Fields& f) {
    f("dropout", dropout, "Dropout.", at_least_zero_below(1));
    f("start_from", start_from, "A checkpoint.");
  }
};
struct Run {
  Choice method{"lora"};
  Section section;
  int64_t steps = 1;
  std::vector<std::string> targets = {"query"};
  ByName<int64_t> ranks;
  ByName<double> scales = {{"a", 0.5}};
  void fields(Fields& f) {
    f("method", method, "What to train.", methods);
    f("section", section, "A section.");
    f("steps", steps, "Steps.", at_least(0));
    f("targets", targets, "Targets.");
    f("ranks", ranks, "Ranks.", at_least(1));
    f("scales", scales, "Scales.", positive());
  }
};

std::string problems(const std::string& text) {
  try {
    parse<Run>(parse_json(text, "test"));
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a config states what differs, the rest keeps its default", "[core]") {
  const Run run = parse<Run>(parse_json(R"({// a comment
    "method": {"name": "lora", "rank": 4}, "section": {"start_from": "x"}})",
                                        "test"));
  CHECK(run.method.options == Json({{"rank", 4}, {"alpha", 16.0}}));
  CHECK(run.section.dropout == 0.1);
  CHECK(run.section.start_from == "x");
  CHECK(dump(run)["steps"] == 1);
  CHECK(dump(parse<Run>(dump(run))) == dump(run));
}

TEST_CASE("every problem is reported at once, with its place and the nearest right answer",
          "[core]") {
  CHECK(problems(R"({"method": {"name": "lora", "alhpa": 1, "rank": 0}, "step": 1})") ==
        "/method/rank: 0 is not at least 1\n"
        "/method/alhpa: unknown key \"alhpa\"; did you mean \"alpha\"?\n"
        "/step: unknown key \"step\"; did you mean \"steps\"?");
  CHECK(problems(R"({"method": {"name": "lroa", "rank": 1}})") ==
        "/method/name: unknown adapter method \"lroa\"; did you mean \"lora\"?");
  CHECK(problems(R"({"method": "lora"})") == "/method: expected an object, got \"lora\"");
  CHECK(problems(R"({"method": {"name": "ia3", "rank": 1}})") ==
        "/method/rank: unknown key \"rank\"; known: name");
  CHECK(problems(R"({"steps": 1.5, "targets": "query", "section": {"dropout": 1}})") ==
        "/section/dropout: 1 is not at least 0 and below 1\n"
        "/steps: expected an integer, got 1.5\n"
        "/targets: expected a list of strings, got \"query\"");
  CHECK(problems("[]") == "/: expected an object, got []");
  CHECK(problems(R"({"steps": 9223372036854775808})") ==
        "/steps: 9223372036854775808 is more than 9223372036854775807");
}

TEST_CASE("values under names of the user's own keep their order, and are each checked", "[core]") {
  const Run run = parse<Run>(parse_json(R"({"ranks": {"z.*": 2, "a": 3}, "scales": {}})", "test"));
  CHECK(run.ranks == ByName<int64_t>{{"z.*", 2}, {"a", 3}});
  CHECK(run.scales.empty());
  CHECK(dump(run)["ranks"].dump() == R"({"z.*":2,"a":3})");
  CHECK(parse<Run>(dump(run)).ranks == run.ranks);
  CHECK(dump(Run{})["scales"] == Json({{"a", 0.5}}));
  CHECK(problems(R"({"ranks": {"x": 0, "y": 1.5}, "scales": {"x": 1, "z": "high"}})") ==
        "/ranks/x: 0 is not at least 1\n"
        "/ranks/y: expected an integer, got 1.5\n"
        "/scales/z: expected a number, got \"high\"");
  CHECK(problems(R"({"ranks": 4})") == "/ranks: expected an object, got 4");
  Json config = Json::object();
  set_option(config, "ranks.x=4");
  set_option(config, "ranks={\"b.c\": 1}");
  CHECK(config == Json({{"ranks", {{"b.c", 1}}}}));
}

TEST_CASE("JSON errors name file and line, and a key may stand only once", "[core]") {
  CHECK_THROWS_WITH(parse_json("{\n\"a\": 1,\n}", "x.json"),
                    Catch::Contains("x.json:3: not valid JSON"));
  CHECK_THROWS_WITH(parse_json(R"({"a": {"b": 1, "b": 2}})", "x.json"),
                    "x.json: the key \"b\" stands twice in one object");
}

TEST_CASE("JSON that is nested without end is an error, not the end of the program", "[core]") {
  const auto nested = [](size_t depth) {
    return "{\"x\": " + std::string(depth, '[') + std::string(depth, ']') + ", \"y\": 1, \"z\": 2}";
  };
  CHECK(parse_json(nested(400), "x.json").size() == 3);
  CHECK_THROWS_WITH(parse_json(nested(200'000), "x.json"),
                    "x.json: not valid JSON: more than 500 arrays and objects stand in each other");
}

TEST_CASE("--set takes JSON or a bare string and builds the path", "[core]") {
  Json config = Json::object();
  set_option(config, "method.rank=4");
  set_option(config, "task.data=../data/sst2");
  set_option(config, "method={\"name\": \"ia3\"}");
  set_option(config, "section.start_from=null");
  CHECK(config == Json({{"method", {{"name", "ia3"}}},
                        {"task", {{"data", "../data/sst2"}}},
                        {"section", {{"start_from", nullptr}}}}));
  CHECK_THROWS_AS(set_option(config, "steps"), Error);
  CHECK_THROWS_AS(set_option(config, "task.data.x=1"), Error);
  CHECK_THROWS_AS(set_option(config, "task..x=1"), Error);
  CHECK_THROWS_WITH(set_option(config, "task.data=a\xff"),
                    Catch::Contains("is not UTF-8 from its byte 12 on"));
}

TEST_CASE("an object or a list behind --set is as strict as a config's", "[core]") {
  Json config = Json::object();
  set_option(config, "targets=[\"a\"] // both");
  CHECK(config == Json({{"targets", {"a"}}}));
  for (const char* wrong :
       {"method={'name': 'lora'}", "method={\"name\": \"lora\",}", "targets=[a]"})
    CHECK_THROWS_WITH(set_option(config, wrong),
                      Catch::Contains(wrong) && Catch::Contains("not valid JSON"));
  CHECK_THROWS_WITH(set_option(config, "method={\"rank\": 4, \"rank\": 8}"),
                    Catch::Contains("the key \"rank\" stands twice"));
  const std::string nested = "targets=" + std::string(100'000, '[') + std::string(100'000, ']');
  CHECK_THROWS_WITH(set_option(config, nested), Catch::Contains("not valid JSON: more than 500"));
  CHECK(config == Json({{"targets", {"a"}}}));
}

TEST_CASE("of two options that exclude each other exactly one is given", "[core]") {
  require_one_of({"--a", true}, {"--b", false});
  require_one_of({"--a", false}, {"--b", true});
  CHECK_THROWS_AS(require_one_of({"--a", true}, {"--b", true}), UsageError);
  CHECK_THROWS_WITH(require_one_of({"--a", true}, {"--b", true}),
                    "only one of --a and --b can be given");
  CHECK_THROWS_WITH(require_one_of({"--a", false}, {"--b", false}), "one of --a and --b is needed");
}

TEST_CASE("a later config is laid over the one before; a named choice replaces the whole",
          "[core]") {
  Json config = {{"method", {{"name", "lora"}, {"rank", 4}}}, {"section", {{"dropout", 0.2}}}};
  merge_config(config, {{"method", {{"name", "ia3"}}}, {"section", {{"start_from", "x"}}}});
  CHECK(config == Json({{"method", {{"name", "ia3"}}},
                        {"section", {{"dropout", 0.2}, {"start_from", "x"}}}}));
}

TEST_CASE("the reference and the schema name every option", "[core]") {
  Run run;
  const Visit visit = [&](Fields& f) { run.fields(f); };
  const std::string reference = options_reference(visit);
  for (const char* path : {"`method.name`", "`method.rank`", "`section.dropout`", "`targets`"})
    CHECK_THAT(reference, Catch::Contains(path));
  const Json schema = options_schema(visit);
  CHECK(schema["properties"]["section"]["properties"]["dropout"]["exclusiveMaximum"] == 1.0);
  CHECK(schema["properties"]["method"]["oneOf"].size() == 2);
  CHECK(schema["additionalProperties"] == false);
  const Json of_ranks = schema["properties"]["ranks"];
  CHECK(of_ranks["type"] == "object");
  CHECK(of_ranks["additionalProperties"] == Json({{"minimum", 1}, {"type", "integer"}}));
  CHECK(schema["properties"]["targets"]["items"] == Json({{"type", "string"}}));
  CHECK_THAT(reference, Catch::Contains("| `ranks` | integers by name | `{}` | Ranks. Each must"));
}
