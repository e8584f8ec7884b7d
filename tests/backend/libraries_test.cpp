// Libraries in one process leave each other's variables alone.

#include "tests/support/test.h"
// LibTorch comes before Catch2.
#include <c10/util/Logging.h>

TEST_CASE("what LibTorch cannot allocate is an exception", "[backend]") {
  // SentencePiece once wrote over this one: every failed check of LibTorch's then ended the
  // program.
  CHECK(!FLAGS_caffe2_use_fatal_for_enforce);
  CHECK_THROWS_AS(at::empty({int64_t{1} << 45}), c10::Error);
}
