#include "lib/core/glob.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"

using namespace mtlora;

TEST_CASE("a star stops at dots, two do not", "[core]") {
  CHECK(glob_match("a.*.c", "a.b.c"));
  CHECK_FALSE(glob_match("a.*.c", "a.b.b.c"));
  CHECK(glob_match("a.**.c", "a.b.b.c"));
  CHECK(glob_match("layer.?", "layer.1"));
  CHECK_FALSE(glob_match("layer.?", "layer.12"));
  CHECK_FALSE(glob_match("layer.?", "layer."));
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

TEST_CASE("captures are what the wildcards stand for", "[core]") {
  using Captures = std::vector<std::string_view>;
  CHECK(glob_captures("bert.**", "bert.pooler.dense.bias") == Captures{"pooler.dense.bias"});
  CHECK(glob_captures("**.query.*", "layer.0.query.bias") == Captures{"layer.0", "bias"});
  CHECK(glob_captures("h.?.*", "h.3.ln") == Captures{"3", "ln"});
  CHECK(glob_captures("**b**", "abcb") == Captures{"a", "cb"});
  CHECK(glob_captures("name", "name") == Captures{});
  CHECK_FALSE(glob_captures("*.query", "layer.0.query"));
}

TEST_CASE("captures fill the wildcards of another pattern, as many as it has", "[core]") {
  CHECK(glob_fill("**", {"pooler.dense"}) == "pooler.dense");
  CHECK(glob_fill("**.?.weight", {"h", "0"}) == "h.0.weight");
  CHECK(glob_fill("plain", {}) == "plain");
  CHECK_THROWS_AS(glob_fill("*.*", {"a"}), Error);
  CHECK_THROWS_AS(glob_fill("plain", {"a"}), Error);
}
