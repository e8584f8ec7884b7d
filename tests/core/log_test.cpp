#include "lib/core/log.h"

#include <pty.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

using namespace mtlora;

namespace {

// As long as it lives, stderr is a terminal of so many columns.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) : before_(dup(STDERR_FILENO)) {
    const struct winsize size { 24, columns, 0, 0 };
    int terminal = -1;
    REQUIRE(openpty(&here_, &terminal, nullptr, nullptr, &size) == 0);
    std::fflush(stderr);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
  }
  ~Terminal() {
    log::show_status("");
    std::fflush(stderr);
    dup2(before_, STDERR_FILENO);
    close(before_);
    close(here_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// What it was given since the last call. What is written reaches the other
  /// end when the system finds time for it, so that a zero byte is sent after
  /// it and waited for.
  std::string text() const {
    std::fflush(stderr);
    REQUIRE(write(STDERR_FILENO, "\0", 1) == 1);
    std::string all;
    for (char one = 0; read(here_, &one, 1) == 1 && one != '\0';) all += one;
    return all;
  }

 private:
  int here_ = -1, before_;
};

const std::string kClear = "\r\033[K";

}  // namespace

TEST_CASE("a status is one line of the terminal, however narrow that is", "[core]") {
  const Terminal terminal(20);
  log::show_status("step 1/10");
  CHECK(terminal.text() == kClear + "step 1/10");
  log::show_status("step 1000000/10000000  loss 0.1");
  CHECK(terminal.text() == kClear + "step 1000000/100000");
  for (const char* shown : {"loss 0.1234", "loss 0.1234  lr 0.1"}) {
    log::show_status(std::string(shown) + "  9 min 01 s left");
    CHECK(terminal.text() == kClear + shown);
  }
}

TEST_CASE("a message takes the place of the status", "[core]") {
  const Terminal terminal(80);
  const auto after_status = [&](auto&& say) {
    log::show_status("step 1/10");
    terminal.text();
    say();
    return terminal.text();
  };
  CHECK_THAT(after_status([] { log::info("a word"); }),
             Catch::Matchers::StartsWith(kClear + "a word"));
  CHECK_THAT(after_status([] { log::warn("a fault"); }),
             Catch::Matchers::StartsWith(kClear) && Catch::Matchers::Contains("warning: a fault"));
  CHECK(after_status([] { log::to_terminal("error: x\n"); }) == kClear + "error: x\r\n");
  log::info("two");
  CHECK_THAT(terminal.text(), Catch::Matchers::StartsWith("two"));
}
