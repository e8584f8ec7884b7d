// UTF-8, by the examples of RFC 3629 and of the Unicode Standard's table 3-7.

#include "lib/data/utf8.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"

using namespace mtlora;

TEST_CASE("valid UTF-8 is accepted up to every limit", "[data]") {
  for (const std::string text : {"", "plain ASCII of more than eight bytes", "\xC2\x80", "\xDF\xBF",
                                 "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
                                 "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "1234567\xC3\xA9",
                                 "12345678\xE2\x82\xAC"
                                 "12345678"}) {
    INFO(text);
    CHECK(invalid_utf8_at(text) == std::string::npos);
  }
}

TEST_CASE("what is not UTF-8 is found where it begins", "[data]") {
  for (const std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xC3(",
        "\xE2\x28\xA1", "\xE2\x82\x28"}) {
    CHECK(invalid_utf8_at(bad) == 0);
    CHECK(invalid_utf8_at("12345678é" + bad + "more text") == 10);
  }
}

TEST_CASE("a byte-order mark is no text", "[data]") {
  CHECK(without_bom("\xEF\xBB\xBFx", "f") == "x");
  CHECK(without_bom("x\xEF\xBB\xBF", "f") == "x\xEF\xBB\xBF");
  CHECK_THROWS_WITH(without_bom("\xFF\xFEx", "f"), "f: is UTF-16; save it as UTF-8");
}
