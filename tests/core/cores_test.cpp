#include "lib/core/cores.h"

#include <sched.h>

#include <catch2/catch.hpp>
#include <thread>

using namespace mtlora;

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

TEST_CASE("processes share cores where all have the same", "[core]") {
  const Cores whole{64, 64}, part{8, 64};
  CHECK(cores_for_each(whole, 1, true) == 64);
  CHECK(cores_for_each(whole, 4, true) == 16);
  CHECK(cores_for_each(whole, 4, false) == 16);
  CHECK(cores_for_each(part, 1, true) == 8);
  CHECK(cores_for_each(part, 4, true) == 2);   // all four have these eight
  CHECK(cores_for_each(part, 4, false) == 8);  // each was given eight
  CHECK(cores_for_each(part, 100, true) == 1);
  CHECK(cores_for_each(part, 100, false) == 1);
}
