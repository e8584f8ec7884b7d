// UTF-8, by the examples of RFC 3629 and of the Unicode Standard's table 3-7.

#include <catch2/catch.hpp>

#include "lib/text/unicode.h"

using namespace mtlora;

TEST_CASE("valid UTF-8 is accepted up to every limit", "[text]") {
  for (const std::string text : {"", "plain ASCII of more than eight bytes", "\xC2\x80", "\xDF\xBF",
                                 "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
                                 "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "1234567\xC3\xA9",
                                 "12345678\xE2\x82\xAC"
                                 "12345678"}) {
    INFO(text);
    CHECK_FALSE(invalid_utf8(text));
  }
}

TEST_CASE("what is not UTF-8 is found where it begins", "[text]") {
  for (const std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xC3(",
        "\xE2\x28\xA1", "\xE2\x82\x28"}) {
    CHECK(invalid_utf8(bad) == 0u);
    CHECK(invalid_utf8("12345678é" + bad + "more text") == 10u);
  }
}
