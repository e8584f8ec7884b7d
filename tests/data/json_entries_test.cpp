// Long arrays of JSON are read entry by entry.

#include "lib/data/json_entries.h"

#include <catch2/catch.hpp>
#include <utility>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::StartsWith;
using Entries = std::vector<std::pair<size_t, std::string>>;

namespace {

Entries entries(const std::string& content, const std::string& key = "") {
  Entries all;
  read_json_entries(content, "F", key,
                    [&](size_t line, const Json& entry) { all.emplace_back(line, entry.dump()); });
  return all;
}

std::string error(const std::string& content, const std::string& key = "") {
  return error_of([&] { entries(content, key); });
}

}  // namespace

TEST_CASE("entries come in order, whole, with their lines", "[data]") {
  CHECK(entries("[\n{\"a\": [1, {\"b\": []}]}, {}\n,\n\n[\n2], \"x\"]") ==
        Entries{{2, "{\"a\":[1,{\"b\":[]}]}"}, {2, "{}"}, {5, "[2]"}, {6, "\"x\""}});
  CHECK(entries("[]").empty());
  const std::string document =
      "{\"before\": [[1], 2], \"entries\": [{\"entries\": [3]},\n4 ], \"after\": {\"x\": [5]}}";
  CHECK(entries(document, "entries") == Entries{{1, "{\"entries\":[3]}"}, {2, "4"}});
}

TEST_CASE("a document that is no array of entries is an error", "[data]") {
  CHECK(error("{}") == "F: is not a JSON array of entries");
  CHECK(error("3") == "F: is not a JSON array of entries");
  CHECK(error("[]", "entries") == "F: is not a JSON object with an array \"entries\"");
  CHECK(error("[[1]]", "entries") == "F: is not a JSON object with an array \"entries\"");
  CHECK(error("{\"a\": {\"entries\": [1]}}", "entries") ==
        "F: is not a JSON object with an array \"entries\"");
}

TEST_CASE("faults of a document are told with their line", "[data]") {
  CHECK_THAT(error("[1,\n2,\n"), StartsWith("F:3: not valid JSON: "));
  CHECK_THAT(error("[1]\n]"), StartsWith("F:2: not valid JSON: "));
  CHECK_THAT(error("[" + std::string(100'000, '[')), StartsWith("F:1: not valid JSON: more than"));
  CHECK(error("[\n\n\"\xFF\"]") == "F:3: not valid UTF-8");
  CHECK(error("[{\"a\": 1,\n\"b\": {},\n\"a\": 2}]") ==
        "F:3: the key \"a\" stands twice in one object");
}
