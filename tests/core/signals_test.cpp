#include "lib/core/signals.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

using namespace mtlora;

namespace {

// The exit code of a process that catches the signals, gets one SIGTERM, and another after so long;
// where that does not end it, the code is the signal that asked first.
int code_when_asked_again_after(useconds_t pause) {
  const pid_t child = fork();
  if (child == 0) {
    catch_stop_signals();
    raise(SIGTERM);
    usleep(pause);
    raise(SIGTERM);
    _exit(stop_signal());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("two requests to stop at once are one, another one later exits", "[core]") {
  CHECK(code_when_asked_again_after(0) == SIGTERM);
  CHECK(code_when_asked_again_after(100'000) == SIGTERM);
  CHECK(code_when_asked_again_after(1'200'000) == 128 + SIGTERM);
}
