#include "lib/core/growing_file.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "tests/support/paths.h"

using namespace mtlora;
using test::TempDir;

TEST_CASE("what is appended to a file is there at once, and goes on where the file ended",
          "[core]") {
  const TempDir dir;
  GrowingFile first(dir / "a");
  first.append("one ");
  first.append("two ");
  CHECK(read_file(dir / "a") == "one two ");
  GrowingFile second(dir / "a");
  CHECK(second.bytes() == 8);
  second.cut_to(4);
  second.append("three");
  second.sync();
  CHECK(second.bytes() == 9);
  CHECK(read_file(dir / "a") == "one three");
}

TEST_CASE("a file that cannot grow is an error that names it and says why", "[core]") {
  const TempDir dir;
  CHECK_THROWS_WITH(GrowingFile(dir / "none" / "a"),
                    Catch::Contains("none/a: cannot be written: No such file"));
  if (!test::available("/dev/full")) return;
  GrowingFile full("/dev/full");
  CHECK_THROWS_WITH(full.append("x"), "/dev/full: cannot write: No space left on device");
}
