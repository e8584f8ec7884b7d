#include "lib/core/threads.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "tests/support/little_room.h"

using namespace mtlora;

TEST_CASE("every thread gets its number, and all are joined", "[core]") {
  std::vector<int> calls(5);
  start_threads(5, [&](size_t i) { ++calls[i]; }).clear();
  CHECK(calls == std::vector<int>(5, 1));
  CHECK(start_threads(0, [](size_t) {}).empty());
}

TEST_CASE("threads that the system has no room for are an error, and those that ran are joined",
          "[core]") {
  std::atomic<bool> is_over = false;
  std::atomic<int> running = 0;
  const auto work = [&](size_t) {
    ++running;
    is_over.wait(false);
    --running;
  };
  const auto give_up = [&] {
    is_over = true;
    is_over.notify_all();
  };
  const test::LittleRoom room;
  CHECK_THROWS_WITH(start_threads(4000, work, give_up),
                    Catch::Matchers::StartsWith("/train/threads: the system starts only "));
  CHECK(is_over);
  CHECK(running == 0);
}
