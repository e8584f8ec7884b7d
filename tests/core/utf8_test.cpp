// Bytes that are no UTF-8: found, and replaced as everyone else does.

#include "lib/core/utf8.h"

#include <catch2/catch.hpp>

using namespace mtlora;

TEST_CASE("each maximal part that is no UTF-8 becomes one U+FFFD", "[core]") {
  const std::string mark = "\xEF\xBF\xBD";
  // The examples of the Unicode Standard, section 3.9, tables 3-8 to 3-11, and ends that are cut.
  CHECK(replace_invalid_utf8("") == "");
  CHECK(replace_invalid_utf8("caf\xC3\xA9") == "caf\xC3\xA9");
  CHECK(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") ==
        mark + mark + mark + mark + mark + mark + mark + mark + "A");
  CHECK(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") ==
        mark + mark + mark + mark + mark + mark + mark + mark + "A");
  CHECK(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") ==
        mark + mark + mark + mark + "A");
  CHECK(replace_invalid_utf8("a\xE4\xBD") == "a" + mark);
  CHECK(replace_invalid_utf8("a\xF0\x9F\x98") == "a" + mark);
}
