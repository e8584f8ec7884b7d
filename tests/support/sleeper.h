// A process of its own, to be killed.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <string>

#include "lib/core/processes.h"

namespace mtlora::test {

/// A process that waits to be killed.
class Sleeper {
 public:
  Sleeper() : pid_(fork()) {
    REQUIRE(pid_ >= 0);
    while (pid_ == 0) pause();
    mark_ = process_mark(pid_);
  }
  ~Sleeper() {
    kill();
    wait();
  }
  const std::string& mark() const { return mark_; }
  pid_t pid() const { return pid_; }
  void kill() const {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
  }
  /// Until it has ended; nobody has asked how yet.
  void watch_it_end() const {
    siginfo_t how{};
    REQUIRE(waitid(P_PID, static_cast<id_t>(pid_), &how, WEXITED | WNOWAIT) == 0);
  }
  void wait() {
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  std::string mark_;
};

}  // namespace mtlora::test
