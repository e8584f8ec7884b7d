#include "lib/core/processes.h"

#include "tests/support/sleeper.h"

using namespace mtlora;
using test::Sleeper;

TEST_CASE("a process is seen to end", "[core]") {
  CHECK_FALSE(has_ended(process_mark()));
  Sleeper sleeper;
  CHECK(sleeper.mark() != process_mark());
  CHECK_FALSE(has_ended(sleeper.mark()));
  sleeper.kill();
  sleeper.watch_it_end();
  CHECK(has_ended(sleeper.mark()));
  sleeper.wait();
  CHECK(has_ended(sleeper.mark()));
}

TEST_CASE("a stopped process has not ended", "[core]") {
  const Sleeper sleeper;
  ::kill(sleeper.pid(), SIGSTOP);
  siginfo_t how{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(sleeper.pid()), &how, WSTOPPED | WNOWAIT) == 0);
  CHECK_FALSE(has_ended(sleeper.mark()));
}

TEST_CASE("another process of the same number is not the same", "[core]") {
  const std::string mine = process_mark();
  const size_t pid_ends = mine.find(' '), began_ends = mine.find(' ', pid_ends + 1);
  CHECK(has_ended(mine.substr(0, pid_ends) + " 1" + mine.substr(began_ends)));
}

TEST_CASE("of another machine nothing is known", "[core]") {
  CHECK_FALSE(has_ended("1 1 " + machine_mark() + "-other pid:[1]"));
  CHECK_FALSE(has_ended(""));
  CHECK_FALSE(has_ended("17"));
}
