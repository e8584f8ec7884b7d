#include "lib/core/cores.h"

#include <sched.h>

#include <catch2/catch.hpp>
#include <thread>

#include "lib/core/files.h"
#include "tests/support/paths.h"

using namespace mtlora;
using test::TempDir;
namespace fs = std::filesystem;

TEST_CASE("cores that a process may not use do not count", "[core]") {
  Cores found{};
  std::thread([&] {  // what binds it ends with it
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    found = cores_here();
  })
      .join();
  CHECK(found.usable == 1);
  CHECK(found.machine == cores_here().machine);
  CHECK(cores_here().usable <= found.machine);
}

TEST_CASE("a share of the time counts as so many cores", "[core]") {
  const TempDir temp;
  const fs::path groups = temp / "groups", root = temp / "root";
  const auto put = [&](const std::string& file, const std::string& text) {
    fs::create_directories((root / file).parent_path());
    write_file(root / file, text);
  };
  write_file(groups, "0::/outer/inner\n");
  CHECK(cores_by_quota(groups, root) == std::nullopt);
  CHECK(cores_by_quota(temp / "none", root) == std::nullopt);
  put("outer/inner/cpu.max", "max 100000\n");
  CHECK(cores_by_quota(groups, root) == std::nullopt);
  put("outer/cpu.max", "150000 100000\n");
  CHECK(cores_by_quota(groups, root) == 2);
  put("outer/inner/cpu.max", "25000 50000\n");
  CHECK(cores_by_quota(groups, root) == 1);
  put("outer/inner/cpu.max", "800000 100000\n");  // more than what is around it
  CHECK(cores_by_quota(groups, root) == 2);

  // a container that is its own root
  write_file(groups, "0::/../elsewhere\n");
  put("cpu.max", "400000 100000\n");
  CHECK(cores_by_quota(groups, root) == 4);

  // version 1
  write_file(groups, "5:memory:/a\n4:cpuset:/a\n3:cpu,cpuacct:/a\n");
  put("cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
  put("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  CHECK(cores_by_quota(groups, root) == std::nullopt);
  put("cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
  CHECK(cores_by_quota(groups, root) == 3);
  // whose folder has another name than the list of controllers
  write_file(groups, "3:cpuacct,cpu:/a\n");
  CHECK(cores_by_quota(groups, root) == std::nullopt);
  fs::create_directory_symlink("cpu,cpuacct", root / "cpu");
  CHECK(cores_by_quota(groups, root) == 3);
}

TEST_CASE("processes share cores where all have the same", "[core]") {
  const Cores whole{64, 64, 64}, part{8, 64, 64}, limited{64, 64, 8};
  CHECK(cores_for_each(whole, 1, true) == 64);
  CHECK(cores_for_each(whole, 4, true) == 16);
  CHECK(cores_for_each(whole, 4, false) == 16);
  CHECK(cores_for_each(part, 1, true) == 8);
  CHECK(cores_for_each(part, 4, true) == 2);   // all four have these eight
  CHECK(cores_for_each(part, 4, false) == 8);  // each was given eight
  CHECK(cores_for_each(part, 100, true) == 1);
  CHECK(cores_for_each(part, 100, false) == 1);
  CHECK(cores_for_each(limited, 1, true) == 8);
  CHECK(cores_for_each(limited, 4, true) == 2);
  CHECK(cores_for_each(limited, 4, false) == 2);  // the container's time is that of all four
}
