#include "lib/core/tfevents.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "lib/core/files.h"
#include "tests/support/paths.h"

using namespace mtlora;
using tfevents::crc32c;

// The first is the catalogue's (reveng.sourceforge.io, CRC-32/ISCSI), the others are RFC 3720's,
// B.4.
TEST_CASE("crc32c gives the published values", "[core]") {
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  CHECK(crc32c("123456789") == 0xE3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
  CHECK(crc32c(rising) == 0x46DD794E);
  CHECK(crc32c(std::string(rising.rbegin(), rising.rend())) == 0x113FDB5C);
  CHECK(crc32c("") == 0);
}

// Of scripts/golden/tfevents.py.
TEST_CASE("an event file has the bytes that TensorBoard's own writer gives it", "[core]") {
  std::string long_tag = "eval/";
  for (int i = 0; i < 100; ++i) long_tag += "é";
  const std::string file =
      tfevents::version_record(1700000000.25) + tfevents::start_record(1700000000.5, 1) +
      tfevents::scalars_record(
          1700000001.125, 50,
          {{"train/loss", 0.693147}, {"train/learning_rate", 5e-4}, {"train/grad_norm", 1e30}}) +
      tfevents::scalars_record(1e10 / 3, (int64_t{1} << 40) + 1,
                               {{long_tag, -0.0},
                                {"eval/not", std::nan("")},
                                {"eval/above", std::numeric_limits<double>::infinity()},
                                {"eval/zero", 0.0}});
  CHECK(file == read_file(test::source_root() / "tests/golden/tfevents/events"));
}
