#include "lib/data/byte_order_mark.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"

using namespace mtlora;

TEST_CASE("a byte-order mark is no text", "[data]") {
  CHECK(without_bom("\xEF\xBB\xBFx", "f") == "x");
  CHECK(without_bom("x\xEF\xBB\xBF", "f") == "x\xEF\xBB\xBF");
  CHECK_THROWS_WITH(without_bom("\xFF\xFEx", "f"), "f: is UTF-16; save it as UTF-8");
  CHECK_THROWS_WITH(without_bom("\x1F\x8B\b", "f"), "f: is compressed by gzip; unpack it first");
  CHECK_THROWS_WITH(without_bom("PK\x03\x04", "f"), Catch::Contains("f: is a ZIP archive"));
}
