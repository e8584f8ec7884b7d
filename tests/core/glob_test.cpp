#include "lib/core/glob.h"

#include <catch2/catch.hpp>

using namespace mtlora;

TEST_CASE("a star stops at dots, two do not", "[core]") {
  CHECK(glob_match("a.*.c", "a.b.c"));
  CHECK_FALSE(glob_match("a.*.c", "a.b.b.c"));
  CHECK(glob_match("a.**.c", "a.b.b.c"));
  CHECK(glob_match("layer.?", "layer.1"));
  CHECK_FALSE(glob_match("layer.?", "layer.12"));
  CHECK(glob_match("**", ""));
  CHECK_FALSE(glob_match("", "a"));
}

TEST_CASE("a pattern without a dot is for the last component", "[core]") {
  const char* path = "bert.encoder.layer.0.attention.self.query";
  CHECK(path_match("query", path));
  CHECK(path_match("q*", path));
  CHECK(path_match("**.self.query", path));
  CHECK(path_match("*.encoder.layer.*.attention.self.*", path));
  CHECK_FALSE(path_match("self", path));
  CHECK_FALSE(path_match("*.query", path));
}
