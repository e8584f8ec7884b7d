#include "lib/core/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace mtlora {
namespace {

constexpr int64_t kOneRequest = 1000;  // milliseconds

std::atomic<int> asked = 0;         // lock-free, as a signal's handler needs it
std::atomic<int64_t> urged_at = 0;  // milliseconds; 0: not yet

int64_t milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// A terminal that closes may send SIGHUP twice, by the kernel and by the shell, a batch system
// SIGTERM after SIGUSR1, and a batch system or systemd SIGTERM to every process, which a launcher
// hands on as well: none of these means that nothing shall be saved.
void on_signal(int signal) {
  if (signal == SIGINT || signal == SIGTERM) {
    int64_t first = 0;
    const int64_t now = milliseconds();
    if (!urged_at.compare_exchange_strong(first, now) && now - first >= kOneRequest)
      _exit(128 + signal);
  }
  int none = 0;
  asked.compare_exchange_strong(none, signal);
}

bool is_ignored(int signal) {
  struct sigaction now {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
  if (!is_ignored(SIGHUP)) sigaction(SIGHUP, &action, nullptr);  // not under nohup
  std::signal(SIGPIPE, SIG_IGN);
}

int stop_signal() {
  return asked;
}

}  // namespace mtlora
